package reaper

import (
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"cognitora/guest/internal/procfs"
)

const prSetSubreaper = 36

var shared *Reaper

func TestMain(m *testing.M) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetSubreaper, 1, 0)
	shared = New()
	os.Exit(m.Run())
}

func start(t *testing.T, argv ...string) (int, <-chan syscall.WaitStatus) {
	t.Helper()
	pid, ended, err := shared.Start(argv[0], argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		t.Error(err)
		closed := make(chan syscall.WaitStatus)
		close(closed)
		return 0, closed
	}
	return pid, ended
}

func zombies(t *testing.T) (n int) {
	table, err := procfs.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range table {
		if p.Parent == os.Getpid() && p.Zombie() {
			n++
		}
	}
	return n
}

// Failed execs run syscall.ForkExec's own wait beside ours; none may take another's status.
func TestEveryStatusArrivesUnderLoad(t *testing.T) {
	var all sync.WaitGroup
	for worker := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range 40 {
				code := (worker*40 + i) % 200
				_, ended := start(t, "/bin/sh", "-c", "sleep 0.01 & exit "+strconv.Itoa(code))
				if _, _, err := shared.Start("/nonexistent", []string{"x"}, &syscall.ProcAttr{}); err != syscall.ENOENT {
					t.Errorf("a missing program gives %v", err)
				}
				select {
				case status := <-ended:
					if status.ExitStatus() != code {
						t.Errorf("got %d, want %d", status.ExitStatus(), code)
					}
				case <-time.After(20 * time.Second):
					t.Error("an end was lost")
				}
			}
		}()
	}
	all.Wait()
	for deadline := time.Now().Add(5 * time.Second); zombies(t) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d zombies are left", zombies(t))
		}
	}
}

func TestSignalNeverHitsACollectedChild(t *testing.T) {
	pid, ended := start(t, "/bin/true")
	<-ended
	if shared.Owns(pid) || shared.Signal(pid, syscall.SIGKILL) != syscall.ESRCH {
		t.Fatal("a collected child can still be signalled")
	}
}
