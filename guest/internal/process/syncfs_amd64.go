package process

const sysSyncfs = 306
