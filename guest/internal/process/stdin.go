package process

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/traffic"
)

const stdinChunk = 32 << 10

// Stdin is the pipe to a process's standard input. Writers take turns.
type Stdin struct {
	file *os.File
	turn chan struct{}
}

func newStdin(file *os.File) *Stdin {
	return &Stdin{file: file, turn: make(chan struct{}, 1)}
}

// Write copies body to the process and returns the bytes that went into the pipe. It ends
// early when the process ends, closes its input, or ctx is done: it never blocks for good.
func (s *Stdin) Write(ctx context.Context, body io.Reader, eof bool) (int64, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = s.file.SetWriteDeadline(time.Unix(1, 0))
	})
	written, err := s.copy(body)
	if !stop() {
		<-fired
		_ = s.file.SetWriteDeadline(time.Time{})
	}
	if err == nil && eof {
		s.Close()
	}
	return written, err
}

func (s *Stdin) copy(body io.Reader) (written int64, err error) {
	if err := s.file.SetWriteDeadline(time.Time{}); err != nil {
		return 0, errClosed(0)
	}
	buffer := make([]byte, stdinChunk)
	for {
		n, readErr := body.Read(buffer)
		if n > 0 {
			w, err := s.file.Write(buffer[:n])
			written += int64(w)
			traffic.Input.Add(int64(w))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return written, context.Canceled
			}
			if err != nil {
				return written, errClosed(written)
			}
		}
		if readErr == io.EOF {
			return written, nil
		}
		if readErr != nil {
			return written, fault.BadRequest("The request body ended early, after %d bytes.", written)
		}
	}
}

// Close gives the process its end of file.
func (s *Stdin) Close() { _ = s.file.Close() }

func errClosed(written int64) error {
	return fault.New(409, "stdin_closed", "The process reads no more input: its stdin was closed after %d bytes of this request.", written)
}
