package files

import (
	"os"
	"sync"
)

const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// A blocked disk access holds an operating-system thread; only so many may at once, since
// the agent must not need new threads in a sandbox that has reached its limit of processes.
var diskSlots = make(chan struct{}, 6)

func onDisk(do func() (int, error)) (int, error) {
	diskSlots <- struct{}{}
	defer func() { <-diskSlots }()
	return do()
}

func writeChunk(file *os.File, chunk []byte) error {
	_, err := onDisk(func() (int, error) { return file.Write(chunk) })
	return err
}

// diskReader reads a file within the limit.
type diskReader struct{ file *os.File }

func (d diskReader) Read(p []byte) (int, error) {
	return onDisk(func() (int, error) { return d.file.Read(p) })
}
