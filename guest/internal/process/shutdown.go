package process

import (
	"os"
	"syscall"
	"time"

	"cognitora/guest/internal/procfs"
)

const (
	endTime  = 3 * time.Second // for everything to be gone after SIGKILL
	syncTime = 3 * time.Second
)

// Shutdown refuses further starts, kills everything in the sandbox and writes the disk out.
// It can be called more than once.
func (m *Manager) Shutdown() {
	m.Close()
	if os.Getpid() == 1 {
		killAll()
	}
	syncRoot()
}

// killAll kills every process but this one. Only PID 1 may: elsewhere it would hit the host.
func killAll() {
	deadline := time.Now().Add(endTime)
	for round := 0; time.Now().Before(deadline); round++ {
		_ = syscall.Kill(-1, syscall.SIGKILL)
		table, err := procfs.Snapshot()
		if err != nil || !anyAlive(table) {
			return
		}
		time.Sleep(time.Millisecond << min(round, 5))
	}
}

func anyAlive(table []procfs.Process) bool {
	for _, p := range table {
		// In a microVM the kernel's own threads, children of 2, stay.
		if p.PID > 2 && p.Parent != 2 && !p.Zombie() {
			return true
		}
	}
	return false
}

// syncRoot writes out the root file system only: sync would wait for the whole machine.
func syncRoot() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		root, err := os.Open("/")
		if err != nil {
			return
		}
		defer root.Close()
		_, _, _ = syscall.Syscall(sysSyncfs, root.Fd(), 0, 0)
	}()
	select {
	case <-done:
	case <-time.After(syncTime):
	}
}
