package files

const sysCopyFileRange = 326
