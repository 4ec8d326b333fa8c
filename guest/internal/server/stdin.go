package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
	"unsafe"

	"cognitora/guest/internal/fault"
)

const goneCheck = time.Second

type stdinAnswer struct {
	Written int64 `json:"written"`
}

// processStdin: POST /v1/processes/{id}/stdin
func (s *Server) processStdin(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "eof")
	if err != nil {
		return err
	}
	eof, err := boolean(values, "eof")
	if err != nil {
		return err
	}
	p, err := s.Processes.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	if p.Stdin() == nil {
		return fault.New(409, "no_stdin", "The process %s was started without a stdin pipe: start it with stdin \"pipe\".", p.ID)
	}
	ctx, cancel := context.WithCancel(r.Context())
	cut := make(chan bool, 1)
	go func() { cut <- cancelWhenUseless(ctx, cancel, w, r, p.Done()) }()
	written, err := p.Stdin().Write(ctx, r.Body, eof)
	cancel()
	if <-cut && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // the deadline was the connection's: its next requests would fail
	}
	if errors.Is(err, context.Canceled) || err != nil && !p.Running() {
		return fault.New(409, "stdin_closed", "The process took %d bytes and then no more: it ended, or the client went.", written)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, stdinAnswer{written})
}

// cancelWhenUseless ends a write once the process has ended or the client is gone. net/http
// notices the latter by itself only when it is reading, which a full pipe keeps it from.
// It returns whether it has cut off the reading.
func cancelWhenUseless(ctx context.Context, cancel context.CancelFunc, w http.ResponseWriter, r *http.Request, done <-chan struct{}) bool {
	defer cancel()
	ticker := time.NewTicker(goneCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-done:
			_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
			return true
		case <-ticker.C:
			if r.ProtoMajor == 1 && peerGone(r.Context()) {
				return false
			}
		}
	}
}

const pollHup, pollErr = 0x10, 0x8

// peerGone asks the kernel whether the other side has closed the connection both ways.
func peerGone(ctx context.Context) bool {
	conn, ok := ctx.Value(connKey{}).(interface {
		net.Conn
		syscall.Conn
	})
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		poll := struct {
			fd              int32
			events, revents int16
		}{fd: int32(fd)}
		var now syscall.Timespec
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		gone = errno == 0 && poll.revents&(pollHup|pollErr) != 0
	})
	return gone || err != nil
}
