package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests run the real static binary as PID 1 of new PID and mount namespaces.

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		panic(err)
	}
	binary = dir + "/agent"
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=test", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

type sandbox struct {
	t      *testing.T
	cmd    *exec.Cmd
	client http.Client
	dir    string // on the host: sock and inbox are below it
	ids    int
}

// Inside, /mnt is the directory of the socket and /media the inbox.
const prepare = `mount --make-rprivate / && mount -t proc proc /proc && mount --bind "$1/sock" /mnt && mount --bind "$1/inbox" /media && mount -t tmpfs none /tmp && shift && exec "$@"`

func newSandbox(t *testing.T, prefix string, args ...string) *sandbox {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "agent") // the sandbox has a /tmp of its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	_ = os.Mkdir(dir+"/sock", 0o755)
	_ = os.Mkdir(dir+"/inbox", 0o755)
	_ = os.WriteFile(dir+"/inbox/big", make([]byte, 3<<20), 0o644)
	copied := dir + "/sock/agent"
	data, _ := os.ReadFile(binary)
	_ = os.WriteFile(copied, data, 0o755)
	line := append([]string{"-c", prefix + prepare, "sh", dir, "/mnt/agent", "init"}, args...)
	s := &sandbox{t: t, dir: dir, cmd: exec.Command("/bin/sh", line...)}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	s.cmd.Stderr = os.Stderr
	s.client.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", dir+"/sock/a.sock")
	}}
	return s
}

func (s *sandbox) boot() *sandbox {
	s.t.Helper()
	if err := s.cmd.Start(); err != nil {
		s.t.Skipf("no namespaces here: %v", err)
	}
	s.t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if answer, err := s.client.Get("http://guest/v1/health"); err == nil {
			answer.Body.Close()
			return s
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the agent does not answer")
		}
	}
}

func bootDefault(t *testing.T) *sandbox {
	t.Helper()
	return newSandbox(t, "", "--listen", "unix:/mnt/a.sock", "--hide", "/mnt", "--inbox", "/media", "--hide", "/media", "--cpus", "1").boot()
}

func (s *sandbox) call(method, path, body string) (int, string) {
	s.t.Helper()
	request, _ := http.NewRequest(method, "http://guest"+path, strings.NewReader(body))
	answer, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(data)
}

// run runs a shell script to its end and returns what it printed.
func (s *sandbox) run(script string) string {
	s.t.Helper()
	s.ids++
	id := "p" + strconv.Itoa(s.ids)
	body, _ := json.Marshal(map[string]any{"id": id, "argv": []string{"sh", "-c", script}, "stderr": "stdout", "timeout_ms": 20000})
	if status, answer := s.call("POST", "/v1/processes", string(body)); status != 201 {
		s.t.Fatalf("%s: %d %s", script, status, answer)
	}
	s.call("GET", "/v1/processes/"+id+"/wait", "")
	_, frames := s.call("GET", "/v1/processes/"+id+"/output", "")
	out := ""
	for len(frames) > 13 {
		end := 13 + (int(frames[10])<<16 | int(frames[11])<<8 | int(frames[12]))
		if frames[0] == 1 {
			out += frames[13:end]
		}
		frames = frames[end:]
	}
	return strings.TrimSpace(out)
}

func (s *sandbox) exitCode() int {
	s.t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	case <-time.After(10 * time.Second):
		s.t.Fatal("the agent does not exit")
		return -1
	}
}

func TestSandboxIsSealed(t *testing.T) {
	s := bootDefault(t)
	for script, want := range map[string]string{
		"ls /mnt/a.sock /mnt/agent /media/big 2>&1 | grep -c 'No such'": "3",
		"ls /proc/self/fd | tr '\\n' ' '":                               "0 1 2 3", // 3 is ls's own
		"nproc":                                                         "1",
		"sleep 0.1; cat /proc/self/oom_score_adj":                       "500",
		"umask": "0022",
		"mount -t tmpfs none /opt 2>/dev/null; echo $?": "32",
		"[ $(ps -o sid= -p $$) = $$ ] && echo leader":   "leader",
	} {
		if got := s.run(script); got != want {
			t.Errorf("%s: got %q, want %q", script, got, want)
		}
	}
	const sysAdmin = 1 << 21
	for line := range strings.Lines(s.run("grep -h Cap /proc/self/status /proc/1/status /proc/1/task/*/status")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if set, err := strconv.ParseUint(value, 16, 64); err != nil || set&sysAdmin != 0 {
			t.Errorf("%s holds CAP_SYS_ADMIN: %s %v", name, value, err)
		}
	}
	// Nobody without CAP_SYS_PTRACE, which sandboxes do not have, looks into the agent.
	if got := s.run("setpriv --bounding-set -sys_ptrace readlink /proc/1/fd/3 || echo denied"); got != "denied" {
		t.Errorf("the agent's descriptors can be read: %s", got)
	}
}

func TestInboxWorksHidden(t *testing.T) {
	s := bootDefault(t)
	_ = os.WriteFile(s.dir+"/inbox/later", []byte("later"), 0o600)
	for _, name := range []string{"big", "later"} {
		if status, body := s.call("PUT", "/v1/files?path=/tmp/"+name+"&source="+name, ""); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	if got := s.run("stat -c %s /tmp/big; cat /tmp/later"); got != "3145728\nlater" {
		t.Errorf("got %q", got)
	}
}

func TestSurvivesItsWorkload(t *testing.T) {
	s := bootDefault(t)
	for _, script := range []string{
		"kill -9 -1",
		"for i in $(seq 64); do [ $i = 15 ] || [ $i = 30 ] || kill -$i 1 2>/dev/null; done",
		"for i in 1 2 3 11 13; do kill -$i 1; done",
		"rm -rf /tmp/* /tmp/.[!.]*; umount -l /proc 2>/dev/null; true",
		"exec >&- 2>&- <&-; sleep 0.1",
		"head -c 100m /dev/zero >/tmp/full 2>/dev/null; rm -f /tmp/full",
	} {
		s.run(script)
		if got := s.run("echo alive"); got != "alive" {
			t.Errorf("after %q: %q", script, got)
		}
	}
}

func TestReapsOrphansUnderLoad(t *testing.T) {
	s := bootDefault(t)
	s.run("i=0; while [ $i -lt 300 ]; do (setsid sh -c 'exit 3' &); i=$((i+1)); done")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := s.run("grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
		if left == "0" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s zombies are left", left)
		}
	}
}

const processLimit = 80

// limitedGroup makes a control group for few processes. Without a controller that really
// limits there is no such test: it would take this machine's processes.
func limitedGroup(t *testing.T) string {
	t.Helper()
	for _, parent := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/pids"} {
		if _, err := os.Stat(parent + "/cgroup.procs"); err != nil {
			continue
		}
		group := parent + "/agent-test-" + strconv.Itoa(os.Getpid())
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { eventuallyRemove(group) })
		_, err := os.Stat(group + "/pids.max")
		if err == nil && os.WriteFile(group+"/pids.max", []byte(strconv.Itoa(processLimit)), 0) == nil {
			return group
		}
	}
	t.Skip("no pids controller")
	return ""
}

func TestAgentOutlivesTheProcessLimit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	group := limitedGroup(t)
	s := newSandbox(t, "echo 0 > "+group+"/cgroup.procs && ", "--listen", "unix:/mnt/a.sock").boot()
	time.Sleep(200 * time.Millisecond) // the spare threads come off the path of the first answer
	// Takes all there is, but not for ever and never much more, whatever the limit.
	s.takeProcesses("full", "i=0; while [ $i -lt 200 ]; do i=$((i+1)); sleep 20 & done; wait")
	s.takeProcesses("churn", "i=0; while [ $i -lt 200 ]; do i=$((i+1)); (sleep 0.5; sleep 0.5; sleep 20) & done; wait")
	if got := s.run("echo alive"); got != "alive" {
		t.Error(got)
	}
}

// takeProcesses runs a script until it leaves no process to start, and then kills it.
func (s *sandbox) takeProcesses(id, script string) {
	s.t.Helper()
	body, _ := json.Marshal(map[string]any{"id": id, "argv": []string{"bash", "-c", script}, "timeout_ms": 15000})
	if status, answer := s.call("POST", "/v1/processes", string(body)); status != 201 {
		s.t.Fatal(answer)
	}
	refused := false
	for i := 0; i < 200 && !refused; i++ {
		time.Sleep(5 * time.Millisecond)
		status, answer := s.call("POST", "/v1/processes", fmt.Sprintf(`{"id":"%s%d","argv":["true"]}`, id, i))
		refused = status == 503 && strings.Contains(answer, "no_processes")
	}
	if !refused {
		s.t.Errorf("%s: no start was refused", id)
	}
	began := time.Now()
	if status, answer := s.call("POST", "/v1/processes/"+id+"/signal", `{"signal":"KILL"}`); status != 200 {
		s.t.Error(answer)
	}
	s.call("GET", "/v1/processes/"+id+"/wait", "")
	if took := time.Since(began); took > 8*time.Second {
		s.t.Errorf("%s: the kill took %v", id, took)
	}
	if left := s.run("cat /proc/[0-9]*/stat | grep -cE '\\((bash|sleep)\\) [^Z]'"); left != "0" {
		s.t.Errorf("%s: %s processes are left", id, left)
	}
}

func eventuallyRemove(group string) {
	for range 100 {
		if os.Remove(group) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestInheritedListener(t *testing.T) {
	s := newSandbox(t, "", "--listen", "fd:3")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.dir + "/sock/a.sock", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	file, _ := listener.File()
	extra, _ := os.Open("/")
	s.cmd.ExtraFiles = []*os.File{file, extra, extra}
	s.boot()
	listener.Close()
	file.Close()
	if got := s.run("ls /proc/self/fd | tr '\\n' ' '"); got != "0 1 2 3" {
		t.Errorf("children inherit %q", got)
	}
}

func TestShutdown(t *testing.T) {
	s := bootDefault(t)
	s.run("setsid sleep 1000 & trap '' TERM; true")
	if status, body := s.call("POST", "/v1/shutdown", ""); status != 200 || body != `{"state":"down"}` {
		t.Errorf("%d %s", status, body)
	}
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTermShutsDown(t *testing.T) {
	s := bootDefault(t)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestCommandLineErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"--listen is missing":    {"init"},
		"unknown option":         {"init", "--what", "x"},
		"needs a value":          {"init", "--listen"},
		"not a listening socket": {"init", "--listen", "fd:9"},
		"must be unix:":          {"init", "--listen", "tcp:1"},
		"cannot hide":            {"init", "--listen", "unix:" + filepath.Join(t.TempDir(), "s"), "--hide", "/no/such/mount"},
		"--cpus needs a number":  {"init", "--cpus", "0"},
		"usage":                  {"what"},
	} {
		out, err := exec.Command(binary, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
	if out, err := exec.Command(binary, "version").Output(); err != nil || string(out) != "cognitora guest agent test, protocol 1\n" {
		t.Errorf("%s %v", out, err)
	}
}
