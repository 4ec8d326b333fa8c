package process

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"sync/atomic"
	"syscall"
	"time"

	"cognitora/guest/internal/output"
)

// Process is a program that was started, and what is kept of it after its end.
type Process struct {
	ID string

	argv    []string
	digest  [sha256.Size]byte
	pid     int
	started time.Time
	log     *output.Log
	pumps   []*output.Pump
	stdin   *Stdin // nil without a pipe
	exited  <-chan syscall.WaitStatus

	overdue atomic.Bool         // the timeout struck
	ended   atomic.Pointer[end] // set before done is closed
	done    chan struct{}
}

// Done is closed when the end is published: the output is complete by then.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says whether the end is still to be published.
func (p *Process) Running() bool { return p.ended.Load() == nil }

// Stdin returns the pipe to the process, or nil when it was started without one.
func (p *Process) Stdin() *Stdin { return p.stdin }

// StateFrame is the state as the payload of a frame.
func (p *Process) StateFrame() []byte {
	payload, _ := json.Marshal(p.State())
	return payload
}

// Stream sends the output from offset on as frames; see output.Stream.
func (p *Process) Stream(ctx context.Context, w io.Writer, offset int64, follow bool, flush func() error) error {
	stream := output.Stream{Log: p.log, Offset: offset, Follow: follow, Exit: p.StateFrame}
	return stream.Run(ctx, w, flush)
}

const (
	silence  = 50 * time.Millisecond // background children are waited for while they print
	maxDrain = time.Second
	hurry    = 5 * time.Second // at last, even when this machine did not let us read
)

// drain waits until what the process printed has been read: to the pipes' end, or, when
// children in the background hold them open, to a moment of silence.
func (p *Process) drain() {
	begin := time.Now()
	goal := p.pending()
	seen := p.received()
	goal += seen
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for _, pump := range p.pumps {
		for open := true; open; {
			select {
			case <-pump.Done():
				open = false
			case <-timer.C:
				now := p.received()
				quiet := now == seen && p.pending() == 0
				late := time.Since(begin)
				if quiet || (late > maxDrain && now >= goal) || late > hurry {
					return
				}
				seen = now
				timer.Reset(silence)
			}
		}
	}
}

func (p *Process) received() (n int64) {
	for _, pump := range p.pumps {
		n += pump.Read()
	}
	return n
}

func (p *Process) pending() (n int64) {
	for _, pump := range p.pumps {
		n += pump.Pending()
	}
	return n
}

// finish publishes the end: state first, then the log's seal, then done.
func (p *Process) finish(e *end) {
	p.ended.Store(e)
	p.log.Seal()
	if p.stdin != nil {
		p.stdin.Close()
	}
	close(p.done)
}
