package files

const sysCopyFileRange = 285
