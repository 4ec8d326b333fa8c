package process

const sysSyncfs = 267
