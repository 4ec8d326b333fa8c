package process

import (
	"os"
	"syscall"
)

// pipes are the ends of a process's standard streams: ours non-blocking, the child's plain.
type pipes struct {
	stdin, stdout, stderr       *os.File // ours; nil where there is none
	childIn, childOut, childErr int      // the child's; -1 where there is none
}

func openPipes(req *Request) (*pipes, error) {
	p := &pipes{childIn: -1, childOut: -1, childErr: -1}
	if err := p.open(req); err != nil {
		p.closeChild()
		p.closeOurs()
		return nil, err
	}
	return p, nil
}

func (p *pipes) open(req *Request) (err error) {
	if req.Stdin == "pipe" {
		p.stdin, p.childIn, err = pipe(1)
	} else {
		p.childIn, err = syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	if p.stdout, p.childOut, err = pipe(0); err != nil || req.Stderr == "stdout" {
		return err
	}
	p.stderr, p.childErr, err = pipe(0)
	return err
}

// pipe returns end number `ours` (0 reads, 1 writes) as a pollable file, the other as a number.
func pipe(ours int) (*os.File, int, error) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return nil, -1, err
	}
	if err := syscall.SetNonblock(ends[ours], true); err != nil {
		_ = syscall.Close(ends[0])
		_ = syscall.Close(ends[1])
		return nil, -1, err
	}
	return os.NewFile(uintptr(ends[ours]), "pipe"), ends[1-ours], nil
}

// child lists the descriptors that become 0, 1 and 2; without a pipe of its own stderr shares stdout's.
func (p *pipes) child() []uintptr {
	stderr := p.childErr
	if stderr < 0 {
		stderr = p.childOut
	}
	return []uintptr{uintptr(p.childIn), uintptr(p.childOut), uintptr(stderr)}
}

func (p *pipes) closeChild() {
	for _, fd := range []int{p.childIn, p.childOut, p.childErr} {
		if fd >= 0 {
			_ = syscall.Close(fd)
		}
	}
}

func (p *pipes) closeOurs() {
	for _, file := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if file != nil {
			_ = file.Close()
		}
	}
}
