// Package dial connects the host with ports that listen inside the sandbox.
package dial

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"cognitora/guest/internal/fault"
)

const timeout = 5 * time.Second

// Loopback connects to a port on this sandbox's loopback, IPv4 first.
func Loopback(ctx context.Context, port int) (net.Conn, error) {
	if port < 1 || port > 65535 {
		return nil, fault.BadRequest("port must lie between 1 and 65535.")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	for _, host := range []string{"127.0.0.1", "::1"} {
		if conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return conn, nil
		}
	}
	return nil, fault.New(502, "connection_refused", "Nothing listens on port %d in the sandbox: start the server there, on 127.0.0.1 or 0.0.0.0.", port)
}

// Stream is one end of a relay: bytes both ways, each of which can end by itself.
type Stream interface {
	io.ReadWriter
	CloseWrite() error
}

// Relay copies both ways until both have ended. An end of file on one side becomes a
// half-close on the other; an error ends the whole relay through abort.
func Relay(a, b Stream, abort func()) {
	var both sync.WaitGroup
	both.Add(2)
	one := func(to, from Stream) {
		defer both.Done()
		defer func() {
			if recover() != nil {
				abort()
			}
		}()
		if _, err := io.Copy(to, from); err != nil || to.CloseWrite() != nil {
			abort()
		}
	}
	go one(a, b)
	go one(b, a)
	both.Wait()
}
