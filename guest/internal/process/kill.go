package process

import (
	"syscall"
	"time"
)

const (
	stopTime = 5 * time.Second
	killTime = 5 * time.Second
)

// Signal sends sig to the process, or to its whole tree, and returns how many got it.
func (m *Manager) Signal(p *Process, sig syscall.Signal, wholeTree bool) int {
	if !wholeTree {
		if m.reaper.Signal(p.pid, sig) != nil {
			return 0
		}
		return 1
	}
	if sig == syscall.SIGKILL {
		return m.killTree(p)
	}
	return m.send(m.members(p), sig)
}

// killTree stops what it finds and looks again until nothing new appears, since what is
// stopped cannot fork; then it kills all, and whatever slipped through. The process's own
// group goes first and in one call, which a fork bomb cannot outrun.
func (m *Manager) killTree(p *Process) int {
	_ = m.reaper.SignalGroup(p.pid, syscall.SIGSTOP)
	stopped := map[int]bool{}
	for deadline := time.Now().Add(stopTime); time.Now().Before(deadline); {
		fresh := unseen(m.members(p), stopped)
		if len(fresh) == 0 {
			break
		}
		m.send(fresh, syscall.SIGSTOP)
		for _, pid := range fresh {
			stopped[pid] = true
		}
	}
	for pid := range stopped {
		m.send([]int{pid}, syscall.SIGKILL)
	}
	pause := time.Millisecond
	for deadline := time.Now().Add(killTime); time.Now().Before(deadline); pause = min(2*pause, 32*time.Millisecond) {
		left := m.members(p)
		if len(left) == 0 {
			break
		}
		m.send(left, syscall.SIGKILL)
		time.Sleep(pause)
	}
	return len(stopped)
}

func unseen(pids []int, seen map[int]bool) []int {
	var fresh []int
	for _, pid := range pids {
		if !seen[pid] {
			fresh = append(fresh, pid)
		}
	}
	return fresh
}

// send signals each process; those started here are checked against reuse of their id.
func (m *Manager) send(pids []int, sig syscall.Signal) (sent int) {
	for _, pid := range pids {
		err := m.reaper.Signal(pid, sig)
		if err == syscall.ESRCH {
			err = syscall.Kill(pid, sig)
		}
		if err == nil {
			sent++
		}
	}
	return sent
}
