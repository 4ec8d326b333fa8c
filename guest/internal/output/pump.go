package output

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"cognitora/guest/internal/traffic"
)

const readSize = 64 << 10 // the capacity of a pipe

// Buffers are taken only while a pipe has data, so a silent process holds none.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// Pump moves what arrives on a pipe into a log, until the last writer closes it.
type Pump struct {
	file   *os.File
	stream byte
	log    *Log
	read   atomic.Int64
	done   chan struct{}
}

// NewPump starts pumping; it owns file, which must be a non-blocking pipe end.
func NewPump(file *os.File, stream byte, log *Log) *Pump {
	p := &Pump{file: file, stream: stream, log: log, done: make(chan struct{})}
	go p.run()
	return p
}

// Done is closed at the pipe's end of file.
func (p *Pump) Done() <-chan struct{} { return p.done }

// Read returns the bytes read so far.
func (p *Pump) Read() int64 { return p.read.Load() }

// Pending returns the bytes that wait in the pipe.
func (p *Pump) Pending() int64 {
	select {
	case <-p.done:
		return 0
	default:
	}
	raw, err := p.file.SyscallConn()
	if err != nil {
		return 0
	}
	var waiting int32
	_ = raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&waiting)))
		if errno != 0 {
			waiting = 0
		}
	})
	return int64(waiting)
}

func (p *Pump) run() {
	defer close(p.done)
	defer p.file.Close()
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	for more := true; more; {
		err := raw.Read(func(fd uintptr) (ready bool) {
			ready, more = p.readOnce(int(fd))
			return ready
		})
		if err != nil {
			return
		}
	}
}

// readOnce reads what is there. ready is false when the pipe is empty, more at its end.
func (p *Pump) readOnce(fd int) (ready, more bool) {
	buffer := buffers.Get().(*[readSize]byte)
	defer buffers.Put(buffer)
	for {
		n, err := syscall.Read(fd, buffer[:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false, true
		case err != nil || n == 0:
			return true, false
		default:
			p.log.Append(p.stream, buffer[:n])
			p.read.Add(int64(n))
			traffic.Output.Add(int64(n))
			return true, true
		}
	}
}
