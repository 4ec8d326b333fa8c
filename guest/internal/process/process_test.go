package process

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cognitora/guest/internal/boot"
	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/procfs"
	"cognitora/guest/internal/reaper"
)

var (
	shared *reaper.Reaper
	lastID int
	idLock sync.Mutex
)

func TestMain(m *testing.M) {
	boot.Shield() // orphans come to us, as to PID 1
	if err := boot.SealDescriptors(); err != nil {
		panic(err)
	}
	// Under nohup it would be ignored by the children too; the agent itself takes every signal.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	shared = reaper.New()
	os.Exit(m.Run())
}

func request(argv ...string) *Request {
	idLock.Lock()
	defer idLock.Unlock()
	lastID++
	return &Request{ID: "t" + strconv.Itoa(lastID), Argv: argv}
}

func shell(script string) *Request { return request("sh", "-c", script) }

func begin(t *testing.T, m *Manager, r *Request) *Process {
	t.Helper()
	p, created, err := m.Start(r)
	if err != nil || !created {
		t.Fatalf("start: %v, created %v", err, created)
	}
	return p
}

func finish(t *testing.T, p *Process) State {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the process does not end")
	}
	return p.State()
}

// text returns the output of both streams, in order.
func text(p *Process) string {
	var frames, out bytes.Buffer
	_ = p.Stream(context.Background(), &frames, 0, true, func() error { return nil })
	for data := frames.Bytes(); len(data) > 0; {
		length := 13 + int(binary.BigEndian.Uint32(data[9:]))
		if data[0] <= 2 {
			out.Write(data[13:length])
		}
		data = data[length:]
	}
	return out.String()
}

func code(err error) string {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Code
	}
	return ""
}

func TestExitCodes(t *testing.T) {
	m := NewManager(shared)
	for _, c := range []struct {
		script string
		code   int
		signal string
	}{{"exit 0", 0, ""}, {"exit 7", 7, ""}, {"exit 255", 255, ""}, {"kill -9 $$", 137, "SIGKILL"}, {"kill -TERM $$", 143, "SIGTERM"}} {
		s := finish(t, begin(t, m, shell(c.script)))
		signal := ""
		if s.Signal != nil {
			signal = *s.Signal
		}
		if s.State != "exited" || *s.ExitCode != c.code || signal != c.signal || s.TimedOut || s.EndedAt == nil {
			t.Errorf("%s: %+v", c.script, s)
		}
	}
}

func TestStartErrors(t *testing.T) {
	m := NewManager(shared)
	dir := t.TempDir()
	_ = os.Chmod(dir, 0o755)
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "noformat": 0o755, "badscript": 0o755} {
		content := map[string]string{"badscript": "#!/no/such/interpreter\n"}[name]
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\x01\x02"), mode); err != nil {
			t.Fatal(err)
		}
	}
	closed := filepath.Join(dir, "closed")
	_ = os.Mkdir(closed, 0o700)
	_ = os.Mkdir(filepath.Join(dir, "adir"), 0o755)
	negative := -1
	for name, c := range map[string]struct {
		want string
		r    Request
	}{
		"missing":       {"command_not_found", Request{Argv: []string{"no-such-command"}}},
		"missing path":  {"command_not_found", Request{Argv: []string{dir + "/nope"}}},
		"under a file":  {"command_not_found", Request{Argv: []string{dir + "/plain/x"}}},
		"not in PATH":   {"command_not_found", Request{Argv: []string{"sh"}, Env: map[string]string{"PATH": dir}}},
		"interpreter":   {"command_not_found", Request{Argv: []string{dir + "/badscript"}}},
		"mode":          {"not_executable", Request{Argv: []string{dir + "/plain"}}},
		"mode in PATH":  {"not_executable", Request{Argv: []string{"plain"}, Env: map[string]string{"PATH": dir}}},
		"directory":     {"not_executable", Request{Argv: []string{dir + "/adir"}}},
		"format":        {"not_executable", Request{Argv: []string{dir + "/noformat"}}},
		"no cwd":        {"bad_cwd", Request{Argv: []string{"true"}, Cwd: dir + "/none"}},
		"cwd a file":    {"bad_cwd", Request{Argv: []string{"true"}, Cwd: dir + "/plain"}},
		"make in file":  {"bad_cwd", Request{Argv: []string{"true"}, Cwd: dir + "/plain/x", MakeCwd: true}},
		"closed cwd":    {"bad_cwd", Request{Argv: []string{"/bin/true"}, Cwd: closed, User: "12345:12345"}},
		"user":          {"bad_user", Request{Argv: []string{"true"}, User: "nobody-like-this"}},
		"group":         {"bad_user", Request{Argv: []string{"true"}, User: "0:no-such-group"}},
		"empty argv":    {"bad_request", Request{}},
		"NUL":           {"bad_request", Request{Argv: []string{"a\x00b"}}},
		"env name":      {"bad_request", Request{Argv: []string{"true"}, Env: map[string]string{"A=B": ""}}},
		"stdin":         {"bad_request", Request{Argv: []string{"true"}, Stdin: "tty"}},
		"stderr":        {"bad_request", Request{Argv: []string{"true"}, Stderr: "null"}},
		"timeout":       {"bad_request", Request{Argv: []string{"true"}, TimeoutMS: -1}},
		"head":          {"bad_request", Request{Argv: []string{"true"}, Output: Keep{HeadBytes: &negative}}},
		"long argument": {"bad_request", Request{Argv: []string{"true", strings.Repeat("x", 1<<20)}}},
	} {
		r := c.r
		r.ID = request().ID
		if _, _, err := m.Start(&r); code(err) != c.want {
			t.Errorf("%s: got %v (%s), want %s", name, err, code(err), c.want)
		}
	}
	if _, _, err := m.Start(&Request{ID: "a/b", Argv: []string{"true"}}); code(err) != "bad_request" {
		t.Errorf("a bad id gives %v", err)
	}
	if list := m.List(); len(list) != 0 {
		t.Errorf("failed starts stay known: %d", len(list))
	}
}

func TestEnvironmentUserAndDirectory(t *testing.T) {
	m := NewManager(shared)
	base := t.TempDir()
	for p := base; p != "/"; p = filepath.Dir(p) {
		_ = os.Chmod(p, 0o755)
	}
	_ = os.Chmod("/tmp", 0o1777)
	r := shell(`pwd; id -u; id -g; echo $HOME; echo $PATH; echo $A; stat -c %u:%g .; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0`)
	r.Cwd, r.MakeCwd, r.User, r.Env = base+"/x/y", true, "1234:4321", map[string]string{"A": "b c", Marker: "forged"}
	p := begin(t, m, r)
	finish(t, p)
	want := base + "/x/y\n1234\n4321\n/\n" + DefaultPath + "\nb c\n1234:4321\n4\n/dev/null\n"
	if got := text(p); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSignalsHaveDefaultActions(t *testing.T) {
	m := NewManager(shared)
	p := begin(t, m, request("grep", "-E", "SigIgn|SigBlk", "/proc/self/status"))
	finish(t, p)
	if got := text(p); strings.Trim(strings.NewReplacer("SigBlk:", "", "SigIgn:", "", "\t", "", "\n", "").Replace(got), "0") != "" {
		t.Errorf("children ignore or block signals: %s", got)
	}
}

func TestStdoutAndStderrInOnePipeKeepTheirOrder(t *testing.T) {
	m := NewManager(shared)
	r := shell("for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done")
	r.Stderr = "stdout"
	p := begin(t, m, r)
	finish(t, p)
	want := ""
	for i := 1; i < 10; i++ {
		want += "o" + strconv.Itoa(i) + "\ne" + strconv.Itoa(i) + "\n"
	}
	if got := text(p); got != want {
		t.Errorf("got %q", got)
	}
}

func TestSameIDStartsOnce(t *testing.T) {
	m := NewManager(shared)
	file := filepath.Join(t.TempDir(), "count")
	r := shell("echo x >> " + file)
	var made, all sync.WaitGroup
	var lock sync.Mutex
	count := 0
	made.Add(1)
	for range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			made.Wait()
			copied := *r
			p, created, err := m.Start(&copied)
			if err != nil {
				t.Error(err)
				return
			}
			<-p.Done()
			lock.Lock()
			defer lock.Unlock()
			if created {
				count++
			}
		}()
	}
	made.Done()
	all.Wait()
	if data, _ := os.ReadFile(file); count != 1 || string(data) != "x\n" {
		t.Fatalf("created %d times, ran %q", count, data)
	}
	other := *r
	other.Argv = []string{"true"}
	if _, _, err := m.Start(&other); code(err) != "exists" {
		t.Errorf("another request under the same id gives %v", err)
	}
	if err := m.Delete(r.ID); err != nil {
		t.Fatal(err)
	}
	if _, created, err := m.Start(&other); err != nil || !created {
		t.Errorf("a freed id is not free: %v", err)
	}
}

func TestBackgroundChildHoldingStdout(t *testing.T) {
	m := NewManager(shared)
	p := begin(t, m, shell("(sleep 0.4; echo late; sleep 0.2; touch $0.done; sleep 30) & echo early"))
	began := time.Now()
	finish(t, p)
	if took := time.Since(began); took > 350*time.Millisecond {
		t.Errorf("the end took %v", took)
	}
	time.Sleep(500 * time.Millisecond)
	if got := text(p); got != "early\n" {
		t.Errorf("got %q", got)
	}
	if n := m.Signal(p, syscall.SIGKILL, true); n == 0 {
		t.Error("the background child is gone: it was killed with its pipe")
	}
}

func TestDrainIsBoundedAndComplete(t *testing.T) {
	m := NewManager(shared)
	p := begin(t, m, shell("(while :; do echo noise; sleep 0.01; done) & head -c 60000 /dev/zero; exit 5"))
	began := time.Now()
	s := finish(t, p)
	if took := time.Since(began); took > 4*time.Second || *s.ExitCode != 5 {
		t.Errorf("took %v: %+v", took, s)
	}
	if zeros := strings.Count(text(p), "\x00"); zeros != 60000 {
		t.Errorf("%d bytes of the main process arrived", zeros)
	}
	m.Signal(p, syscall.SIGKILL, true)
}

func TestTimeoutKillsEscapees(t *testing.T) {
	m := NewManager(shared)
	dir := t.TempDir()
	// A double fork into a session of its own; another user's orphan; a plain child.
	script := "setsid sh -c 'echo $$ > " + dir + "/a; sleep 60 & echo $! > " + dir + "/b; (sleep 60 & echo $! > " + dir + "/c)' & " +
		"(setsid sleep 60 & echo $! > " + dir + "/d); echo out; sleep 60 & echo $! > " + dir + "/e; wait"
	r := shell(script)
	r.TimeoutMS = 500
	s := finish(t, begin(t, m, r))
	if *s.ExitCode != ExitTimedOut || !s.TimedOut || *s.Signal != "SIGKILL" {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		data, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
		waitGone(t, name, pid)
	}
}

func waitGone(t *testing.T, name string, pid int) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %s (%d) is still there", name, pid)
		}
	}
}

func TestOrphanOfAnotherUserIsFound(t *testing.T) {
	m := NewManager(shared)
	r := request("setsid", "sh", "-c", "(setsid sleep 61 &)")
	r.User = "1234:1234"
	p := begin(t, m, r)
	finish(t, p)
	if n := m.Signal(p, syscall.SIGKILL, true); n != 1 {
		t.Errorf("reached %d processes", n)
	}
}

func TestTreeKillLeavesOthersAlone(t *testing.T) {
	m := NewManager(shared)
	a, b := begin(t, m, request("sleep", "60")), begin(t, m, request("sleep", "60"))
	m.Signal(a, syscall.SIGKILL, true)
	finish(t, a)
	if !b.Running() {
		t.Fatal("another process was killed too")
	}
	m.Close()
	finish(t, b)
	if _, _, err := m.Start(request("true")); code(err) != "shutting_down" {
		t.Errorf("a start after the shutdown gives %v", err)
	}
}

func TestForkingTreeCannotOutrunTheKill(t *testing.T) {
	m := NewManager(shared)
	// Every generation forks the next and ends: a moving target of constant size.
	script := "f() { [ $1 -gt 0 ] || exit; ( f $(($1-1)) ) & ( f $(($1-1)) ) & }; while :; do f 3; wait; done"
	r := shell(script)
	r.TimeoutMS = 300
	p := begin(t, m, r)
	finish(t, p)
	time.Sleep(100 * time.Millisecond)
	if left := m.members(p); len(left) != 0 {
		table, _ := procfs.Snapshot()
		t.Fatalf("left: %v of %d", left, len(table))
	}
}

func TestBigWriterCostsBoundedMemory(t *testing.T) {
	m := NewManager(shared)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	p := begin(t, m, shell("head -c 1000000000 /dev/zero; echo end"))
	peak := uint64(0)
	for p.Running() {
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapInuse)
		time.Sleep(50 * time.Millisecond)
	}
	s := p.State()
	if s.OutputBytes != 1000000004 || s.OmittedBytes != 1000000004-DefaultHead-DefaultTail || !s.Truncated {
		t.Errorf("%+v", s)
	}
	if grown := int64(peak) - int64(before.HeapInuse); grown > 12<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if got := text(p); len(got) != DefaultHead+DefaultTail || !strings.HasSuffix(got, "end\n") {
		t.Errorf("kept %d bytes", len(got))
	}
}

func TestStdin(t *testing.T) {
	m := NewManager(shared)
	r := request("cat")
	r.Stdin = "pipe"
	p := begin(t, m, r)
	big := strings.Repeat("x", 300000)
	if n, err := p.Stdin().Write(context.Background(), strings.NewReader(big), false); err != nil || n != 300000 {
		t.Fatal(n, err)
	}
	if _, err := p.Stdin().Write(context.Background(), strings.NewReader("end"), true); err != nil {
		t.Fatal(err)
	}
	finish(t, p)
	if text(p) != big+"end" {
		t.Error("the echo differs")
	}
	if _, err := p.Stdin().Write(context.Background(), strings.NewReader("x"), false); code(err) != "stdin_closed" {
		t.Errorf("a closed pipe gives %v", err)
	}
}

func TestStdinNeverBlocksForGood(t *testing.T) {
	m := NewManager(shared)
	r := request("sleep", "60")
	r.Stdin = "pipe"
	p := begin(t, m, r)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Stdin().Write(ctx, strings.NewReader(strings.Repeat("x", 1<<20)), false); !errors.Is(err, context.Canceled) {
		t.Errorf("a gone client gives %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { m.Signal(p, syscall.SIGKILL, false) })
	if _, err := p.Stdin().Write(context.Background(), strings.NewReader(strings.Repeat("x", 1<<20)), false); code(err) != "stdin_closed" {
		t.Errorf("an ended process gives %v", err)
	}
}

func TestEviction(t *testing.T) {
	m := NewManager(shared)
	first := begin(t, m, request("true"))
	finish(t, first)
	for range maxFinished {
		finish(t, begin(t, m, request("true")))
	}
	eventually(t, func() bool { _, err := m.Get(first.ID); return code(err) == "not_found" })
	if _, _, err := m.Start(&Request{ID: first.ID, Argv: []string{"true"}}); code(err) != "exists" {
		t.Errorf("an evicted id can start again: %v", err)
	}
	if n := len(m.List()); n != maxFinished {
		t.Errorf("%d are kept", n)
	}
}

func TestEvictionBySize(t *testing.T) {
	m := NewManager(shared)
	head := 20 << 20
	var all []*Process
	for range 3 {
		r := shell("head -c 20000000 /dev/zero")
		r.Output.HeadBytes = &head
		p := begin(t, m, r)
		finish(t, p)
		all = append(all, p)
	}
	eventually(t, func() bool { return len(m.List()) == 1 })
	if _, err := m.Get(all[2].ID); err != nil {
		t.Error("the newest was evicted")
	}
}

func TestDeleteRunning(t *testing.T) {
	m := NewManager(shared)
	p := begin(t, m, request("sleep", "60"))
	if err := m.Delete(p.ID); code(err) != "running" {
		t.Errorf("got %v", err)
	}
	m.Signal(p, syscall.SIGKILL, true)
	finish(t, p)
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true")
		}
	}
}
