package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"cognitora/guest/internal/boot"
	"cognitora/guest/internal/output"
	"cognitora/guest/internal/process"
	"cognitora/guest/internal/reaper"
)

var (
	socket  string
	manager *process.Manager
	clients = map[string]*http.Client{}
)

func TestMain(m *testing.M) {
	boot.Shield()
	if err := boot.SealDescriptors(); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		panic(err)
	}
	socket = dir + "/agent.sock"
	listener, err := boot.Listen("unix:" + socket)
	if err != nil {
		panic(err)
	}
	manager = process.NewManager(reaper.New())
	s := Server{Processes: manager, Version: "test", Shutdown: func() {}, Exit: func() {}}
	go func() { panic(s.Serve(listener)) }()
	clients["HTTP/1.1"], clients["HTTP/2"] = client(false), client(true)
	code := m.Run()
	manager.Close()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func client(two bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!two)
	protocols.SetUnencryptedHTTP2(two)
	return &http.Client{Transport: &http.Transport{
		Protocols:   &protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) },
	}}
}

// both runs a test over each version of HTTP, with ids of its own.
func both(t *testing.T, test func(t *testing.T, c *http.Client, id string)) {
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			test(t, c, strings.NewReplacer("/", "-", ".", "-").Replace(t.Name()))
		})
	}
}

func do(t *testing.T, c *http.Client, method, path, body string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequest(method, "http://guest"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Header.Get(protocolHeader) != "1" {
		t.Errorf("%s %s: no protocol header", method, path)
	}
	return answer.StatusCode, data
}

func wantCode(t *testing.T, status int, body []byte, wantStatus int, want string) {
	t.Helper()
	var answer errorAnswer
	if err := json.Unmarshal(body, &answer); err != nil || status != wantStatus || answer.Code != want || answer.Error == "" {
		t.Errorf("got %d %s, want %d %s", status, body, wantStatus, want)
	}
}

func readFrame(r io.Reader) (kind byte, payload []byte, err error) {
	var header [13]byte
	if _, err = io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, binary.BigEndian.Uint32(header[9:]))
	_, err = io.ReadFull(r, payload)
	return header[0], payload, err
}

func TestHealthAndUnknown(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, _ string) {
		status, body := do(t, c, "GET", "/v1/health", "")
		var h healthAnswer
		if err := json.Unmarshal(body, &h); err != nil || status != 200 || h.Protocol != 1 || h.PID != os.Getpid() || h.Version != "test" {
			t.Errorf("%d %s", status, body)
		}
		for _, path := range []string{"/", "/v2/health", "/v1/processes/x/nope"} {
			status, body = do(t, c, "GET", path, "")
			wantCode(t, status, body, 404, "not_found")
		}
		status, body = do(t, c, "PATCH", "/v1/health", "")
		wantCode(t, status, body, 404, "not_found")
	})
}

func TestBadBodies(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, _ string) {
		for _, body := range []string{"", "{", "[]", `{"id":1}`, `{"id":"a","argv":["true"],"surprise":1}`, `{"id":"a","argv":["true"]} {}`, "null x"} {
			status, answer := do(t, c, "POST", "/v1/processes", body)
			wantCode(t, status, answer, 400, "bad_request")
		}
		status, answer := do(t, c, "POST", "/v1/processes", `{"id":"`+strings.Repeat("x", 5<<20)+`"}`)
		wantCode(t, status, answer, 413, "too_large")
		for _, query := range []string{"follow=maybe", "nope=1", "follow=true&follow=true", "follow=%zz"} {
			status, answer := do(t, c, "POST", "/v1/processes?"+query, `{"id":"a","argv":["true"]}`)
			wantCode(t, status, answer, 400, "bad_request")
		}
	})
}

func TestExecInOneRoundTrip(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, id string) {
		answer, err := c.Post("http://guest/v1/processes?follow=true", "application/json",
			strings.NewReader(fmt.Sprintf(`{"id":%q,"argv":["sh","-c","echo out; sleep 0.1; echo err >&2; exit 3"]}`, id)))
		if err != nil || answer.Header.Get("Content-Type") != output.ContentType {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		kinds, text := "", ""
		var state process.State
		for {
			kind, payload, err := readFrame(answer.Body)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			kinds += string('0' + kind)
			if kind <= 2 {
				text += string(payload)
			} else if err := json.Unmarshal(payload, &state); err != nil {
				t.Fatal(err)
			}
		}
		if kinds != "5123" || text != "out\nerr\n" || *state.ExitCode != 3 || state.OutputBytes != 8 {
			t.Errorf("frames %s, text %q, state %+v", kinds, text, state)
		}
	})
}

func TestLifeOfAProcess(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, id string) {
		start := fmt.Sprintf(`{"id":%q,"argv":["cat"],"stdin":"pipe"}`, id)
		path := "/v1/processes/" + id
		for _, want := range []int{201, 200} {
			if status, body := do(t, c, "POST", "/v1/processes", start); status != want {
				t.Fatalf("%d %s", status, body)
			}
		}
		status, body := do(t, c, "DELETE", path, "")
		wantCode(t, status, body, 409, "running")
		if status, body := do(t, c, "POST", path+"/stdin", "hello "); status != 200 || string(body) != `{"written":6}` {
			t.Errorf("%d %s", status, body)
		}
		do(t, c, "POST", path+"/stdin?eof=true", "world")
		if status, body := do(t, c, "GET", path+"/wait", ""); status != 200 || !bytes.Contains(body, []byte(`"exit_code":0`)) {
			t.Errorf("%d %s", status, body)
		}
		if _, body := do(t, c, "GET", path+"/output?offset=6", ""); !bytes.Contains(body, []byte("world")) || bytes.Contains(body, []byte("hello")) {
			t.Errorf("%q", body)
		}
		status, body = do(t, c, "POST", path+"/stdin", "more")
		wantCode(t, status, body, 409, "stdin_closed")
		if status, _ := do(t, c, "DELETE", path, ""); status != 204 {
			t.Errorf("delete gives %d", status)
		}
		status, body = do(t, c, "GET", path, "")
		wantCode(t, status, body, 404, "not_found")
	})
}

func TestALastWriteHarmsNoRequestAfterIt(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, id string) {
		for i := range 60 {
			path := fmt.Sprintf("/v1/processes/%s%d", id, i)
			do(t, c, "POST", "/v1/processes", fmt.Sprintf(`{"id":"%s%d","argv":["cat"],"stdin":"pipe"}`, id, i))
			do(t, c, "POST", path+"/stdin?eof=true", "x")
			if _, body := do(t, c, "GET", path+"/wait", ""); !bytes.Contains(body, []byte(`"exit_code":0`)) {
				t.Fatalf("after %d: %q", i, body)
			}
			status, body := do(t, c, "POST", path+"/stdin", "more")
			wantCode(t, status, body, 409, "stdin_closed")
			if status, body := do(t, c, "GET", path+"/wait", ""); status != 200 || len(body) == 0 {
				t.Fatalf("after %d: %d %q", i, status, body)
			}
		}
	})
}

func TestSignals(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, id string) {
		for i, signal := range []string{`"TERM"`, `"SIGTERM"`, `15`, `"15"`} {
			one := fmt.Sprintf("%s%d", id, i)
			do(t, c, "POST", "/v1/processes", fmt.Sprintf(`{"id":%q,"argv":["sleep","60"]}`, one))
			do(t, c, "POST", "/v1/processes/"+one+"/signal", `{"signal":`+signal+`}`)
			if _, body := do(t, c, "GET", "/v1/processes/"+one+"/wait", ""); !bytes.Contains(body, []byte(`"exit_code":143,"signal":"SIGTERM"`)) {
				t.Errorf("%s: %s", signal, body)
			}
		}
		for _, bad := range []string{`{}`, `{"signal":"NOPE"}`, `{"signal":0}`, `{"signal":65}`, `{"signal":[9]}`} {
			status, body := do(t, c, "POST", "/v1/processes/"+id+"0/signal", bad)
			wantCode(t, status, body, 400, "bad_request")
		}
	})
}

func TestGoneClientKillsNothing(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, id string) {
		ctx, cancel := context.WithCancel(context.Background())
		request, _ := http.NewRequestWithContext(ctx, "POST", "http://guest/v1/processes?follow=true",
			strings.NewReader(fmt.Sprintf(`{"id":%q,"argv":["sh","-c","echo a; sleep 0.4; echo b"]}`, id)))
		answer, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = readFrame(answer.Body)
		cancel()
		answer.Body.Close()
		_, body := do(t, c, "GET", "/v1/processes/"+id+"/wait", "")
		if !bytes.Contains(body, []byte(`"exit_code":0`)) || !bytes.Contains(body, []byte(`"output_bytes":4`)) {
			t.Errorf("%s", body)
		}
	})
}

// A client that vanishes while the pipe is full must free the turn for the next writer.
func TestGoneWriterFreesStdin(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, id string) {
		do(t, c, "POST", "/v1/processes", fmt.Sprintf(`{"id":%q,"argv":["sh","-c","sleep 4; cat >/dev/null"],"stdin":"pipe"}`, id))
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, "POST", "http://guest/v1/processes/"+id+"/stdin", strings.NewReader(strings.Repeat("x", 4<<20)))
		if answer, err := c.Do(request); err == nil {
			t.Fatalf("a full pipe answered %s", answer.Status)
		}
		p, err := manager.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		turn, done := context.WithTimeout(context.Background(), 3*time.Second)
		defer done()
		if _, err := p.Stdin().Write(turn, strings.NewReader(""), false); err != nil {
			t.Errorf("the turn is not free: %v", err)
		}
		manager.Signal(p, syscall.SIGKILL, true)
	})
}

func TestFiles(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, _ string) {
		dir := url.QueryEscape(t.TempDir())
		content := strings.Repeat("data", 300000)
		if status, body := do(t, c, "PUT", "/v1/files?path=a/b&mode=0600&cwd="+dir, content); status != 200 || !bytes.Contains(body, []byte(`"size":1200000`)) {
			t.Fatalf("%d %s", status, body)
		}
		if status, body := do(t, c, "GET", "/v1/files?path=a/b&cwd="+dir, ""); status != 200 || string(body) != content {
			t.Errorf("%d, %d bytes", status, len(body))
		}
		for query, want := range map[string]string{
			"": "400 bad_path", "path=a%00b": "400 bad_path", "path=x&mode=999": "400 bad_request", "path=x&mode=4755": "400 bad_request",
			"path=x&user=no-such-user": "400 bad_user", "path=x&source=y": "404 no_inbox", "path=x&source=../y": "400 bad_request",
			"path=/": "409 is_directory",
		} {
			status, body := do(t, c, "PUT", "/v1/files?"+query, "x")
			var number int
			var code string
			_, _ = fmt.Sscan(want, &number, &code)
			wantCode(t, status, body, number, code)
		}
		status, body := do(t, c, "GET", "/v1/files?path=none&cwd="+dir, "")
		wantCode(t, status, body, 404, "not_found")
	})
}

func TestStatsAndList(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, id string) {
		_, body := do(t, c, "GET", "/v1/stats", "")
		var s statsAnswer
		if err := json.Unmarshal(body, &s); err != nil || s.Processes < 1 || s.Memory.Total <= 0 || s.Disk.Total <= 0 || s.CPUs < 1 {
			t.Errorf("%s %v", body, err)
		}
		do(t, c, "POST", "/v1/processes?follow=true", fmt.Sprintf(`{"id":%q,"argv":["echo","12345"]}`, id))
		_, body = do(t, c, "GET", "/v1/stats", "")
		before := s.Activity.Output
		if err := json.Unmarshal(body, &s); err != nil || s.Activity.Output != before+6 {
			t.Errorf("%d bytes before, then %s %v", before, body, err)
		}
		if status, body := do(t, c, "GET", "/v1/processes", ""); status != 200 || !bytes.HasPrefix(body, []byte(`{"processes":[`)) {
			t.Errorf("%d %s", status, body)
		}
	})
}

// upcase listens like a server in the sandbox: it reads to the end of file, then answers.
func upcase(t *testing.T, address string) string {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				data, _ := io.ReadAll(conn)
				_, _ = conn.Write(bytes.ToUpper(data))
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

func TestDialUpgrade(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		port := upcase(t, address)
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// Bytes sent before the answer must not be lost.
		fmt.Fprintf(conn, "POST /v1/dial?port=%s HTTP/1.1\r\nHost: guest\r\nConnection: Upgrade\r\nUpgrade: cognitora-tcp\r\n\r\nearly ", port)
		reader := bufio.NewReader(conn)
		answer, err := http.ReadResponse(reader, nil)
		if err != nil || answer.StatusCode != 101 || answer.Header.Get(protocolHeader) != "1" {
			t.Fatal(answer, err)
		}
		big := strings.Repeat("abc", 1<<20)
		go func() {
			_, _ = io.WriteString(conn, big)
			_ = conn.(*net.UnixConn).CloseWrite()
		}()
		if data, err := io.ReadAll(reader); err != nil || string(data) != strings.ToUpper("early "+big) {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	}
}

func TestDialStream(t *testing.T) {
	port := upcase(t, "127.0.0.1:0")
	reader, writer := io.Pipe()
	request, _ := http.NewRequest("POST", "http://guest/v1/dial?port="+port, reader)
	answer, err := clients["HTTP/2"].Do(request)
	if err != nil || answer.StatusCode != 200 {
		t.Fatal(answer, err)
	}
	defer answer.Body.Close()
	big := strings.Repeat("abc", 1<<20)
	go func() {
		_, _ = io.WriteString(writer, big)
		writer.Close()
	}()
	if data, err := io.ReadAll(answer.Body); err != nil || string(data) != strings.ToUpper(big) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestDialErrors(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client, _ string) {
		for _, port := range []string{"", "0", "65536", "x", "-1"} {
			status, body := dialWith(t, c, port, upgradeTo)
			wantCode(t, status, body, 400, "bad_request")
		}
		status, body := dialWith(t, c, "1", upgradeTo)
		wantCode(t, status, body, 502, "connection_refused")
	})
	status, body := dialWith(t, clients["HTTP/1.1"], "1", "")
	wantCode(t, status, body, 426, "upgrade_required")
}

func dialWith(t *testing.T, c *http.Client, port, upgrade string) (int, []byte) {
	t.Helper()
	request, _ := http.NewRequest("POST", "http://guest/v1/dial?port="+port, nil)
	if upgrade != "" && c == clients["HTTP/1.1"] {
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", upgrade)
	}
	answer, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, body
}

func TestPanicCostsOneAnswer(t *testing.T) {
	broken := verb(func(http.ResponseWriter, *http.Request) error { panic("bug") })
	w := &recorder{header: http.Header{}}
	broken.ServeHTTP(w, nil)
	if w.status != 500 || !strings.Contains(w.String(), `"code":"internal"`) {
		t.Errorf("%d %s", w.status, w.String())
	}
}

type recorder struct {
	bytes.Buffer
	header http.Header
	status int
}

func (r *recorder) Header() http.Header    { return r.header }
func (r *recorder) WriteHeader(status int) { r.status = status }
