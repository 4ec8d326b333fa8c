// Package server is the guest protocol over HTTP: one file a verb.
package server

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/files"
	"cognitora/guest/internal/process"
)

// Protocol is the version of the guest protocol; spec/guest.yaml describes it.
const Protocol = 1

const (
	protocolHeader = "Cognitora-Guest-Protocol"
	maxHeaderBytes = 64 << 10
	headerTimeout  = 15 * time.Second
	maxStreams     = 1024 // of one HTTP/2 connection
)

// Server answers the host.
type Server struct {
	Processes *process.Manager
	Inbox     *files.Inbox // nil without one
	Version   string
	// Shutdown ends the sandbox; it returns when everything but the agent is gone.
	Shutdown func()
	// Exit ends the agent itself.
	Exit func()

	started time.Time
}

// Serve answers on listener for good, with HTTP/1.1 and HTTP/2 with prior knowledge.
func (s *Server) Serve(listener net.Listener) error {
	s.started = time.Now()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{
		Handler:           s.handler(),
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // nobody has to read our stderr: writing could block
		ConnContext:       withConn,
	}
	return server.Serve(listener)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, verb := range map[string]verb{
		"GET /v1/health":                 s.health,
		"GET /v1/stats":                  s.stats,
		"POST /v1/shutdown":              s.shutdown,
		"POST /v1/processes":             s.startProcess,
		"GET /v1/processes":              s.listProcesses,
		"GET /v1/processes/{id}":         s.getProcess,
		"DELETE /v1/processes/{id}":      s.deleteProcess,
		"GET /v1/processes/{id}/wait":    s.waitProcess,
		"GET /v1/processes/{id}/output":  s.processOutput,
		"POST /v1/processes/{id}/signal": s.signalProcess,
		"POST /v1/processes/{id}/stdin":  s.processStdin,
		"PUT /v1/files":                  s.writeFile,
		"GET /v1/files":                  s.readFile,
		"POST /v1/dial":                  s.dial,
		"/":                              s.unknown,
	} {
		mux.Handle(pattern, verb)
	}
	return mux
}

// verb is a handler that may fail; what it returns becomes the answer.
type verb func(http.ResponseWriter, *http.Request) error

// ServeHTTP runs the verb. A bug in it costs this answer only, never PID 1.
func (v verb) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(protocolHeader, strconv.Itoa(Protocol))
	defer func() {
		if trouble := recover(); trouble != nil {
			if trouble == http.ErrAbortHandler {
				panic(trouble)
			}
			writeFault(w, fault.New(500, "internal", "The guest agent failed: %v.", trouble))
		}
	}()
	if err := v(w, r); err != nil {
		writeFault(w, fault.Of(err))
	}
}

func (s *Server) unknown(_ http.ResponseWriter, r *http.Request) error {
	return fault.New(404, "not_found", "The guest protocol has no %s %.200s: see spec/guest.yaml.", r.Method, r.URL.Path)
}

func (s *Server) uptime() int64 { return time.Since(s.started).Milliseconds() }

type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}
