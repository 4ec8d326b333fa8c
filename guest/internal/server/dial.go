package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cognitora/guest/internal/dial"
	"cognitora/guest/internal/fault"
)

const upgradeTo = "cognitora-tcp"

// dial: POST /v1/dial
func (s *Server) dial(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "port")
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(values.Get("port"))
	if err != nil {
		return fault.BadRequest("port must be a number.")
	}
	if r.ProtoMajor == 1 && !strings.EqualFold(r.Header.Get("Upgrade"), upgradeTo) {
		return fault.New(426, "upgrade_required", "Over HTTP/1.1 send Connection: Upgrade and Upgrade: %s.", upgradeTo)
	}
	inside, err := dial.Loopback(r.Context(), port)
	if err != nil {
		return err
	}
	defer inside.Close()
	if r.ProtoMajor == 1 {
		return relayUpgraded(w, inside.(*net.TCPConn))
	}
	return relayStream(w, r, inside.(*net.TCPConn))
}

// relayUpgraded takes the HTTP/1.1 connection over.
func relayUpgraded(w http.ResponseWriter, inside *net.TCPConn) error {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	outside, ok := conn.(halfCloser)
	if !ok {
		return nil
	}
	_ = conn.SetDeadline(time.Time{})
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+upgradeTo+"\r\n"+
		protocolHeader+": "+strconv.Itoa(Protocol)+"\r\n\r\n")
	if err == nil && sendEarly(inside, buffered.Reader) == nil {
		dial.Relay(outside, inside, func() { conn.Close(); inside.Close() })
	}
	return nil
}

type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// sendEarly passes on what the client sent before it saw the answer.
func sendEarly(inside net.Conn, buffered *bufio.Reader) error {
	_, err := io.CopyN(inside, buffered, int64(buffered.Buffered()))
	return err
}

// relayStream uses the two directions of an HTTP/2 stream. The client's end of stream is
// passed on as a half-close; the sandbox's end of file ends the whole stream, since an
// HTTP/2 answer ends only with its handler.
func relayStream(w http.ResponseWriter, r *http.Request, inside *net.TCPConn) error {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()
	w.WriteHeader(http.StatusOK)
	if control.Flush() != nil {
		return nil
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := io.Copy(inside, r.Body); err != nil {
			inside.Close()
			return
		}
		_ = inside.CloseWrite()
	}()
	_, _ = io.Copy(flushed{w, control.Flush}, inside)
	_ = control.SetReadDeadline(time.Unix(1, 0))
	inside.Close()
	<-sent // the body must not be read once the handler has returned
	return nil
}

// flushed sends every write at once.
type flushed struct {
	w     io.Writer
	flush func() error
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.flush()
	}
	return n, err
}
