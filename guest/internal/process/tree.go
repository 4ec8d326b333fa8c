package process

import (
	"os"

	"cognitora/guest/internal/procfs"
)

// members lists the living processes of p's tree: itself, its descendants, everything in
// a session that one of these leads, and orphans that carry its marker.
func (m *Manager) members(p *Process) []int {
	table, err := procfs.Snapshot()
	if err != nil {
		return nil
	}
	tree := newTree(table, m.others(p))
	if m.reaper.Owns(p.pid) {
		tree.add(p.pid)
	}
	// The id of an ended process stays ours as a session while anybody is left in it.
	if !tree.foreign[p.pid] {
		tree.sessions[p.pid] = true
	}
	tree.spread()
	if tree.adopt(Marker + "=" + p.ID) {
		tree.spread()
	}
	return tree.living()
}

// tree grows a set of processes over a snapshot of the table.
type tree struct {
	table    []procfs.Process
	foreign  map[int]bool // the agent, and other processes it started
	members  map[int]bool
	sessions map[int]bool
}

func newTree(table []procfs.Process, foreign map[int]bool) *tree {
	foreign[os.Getpid()] = true
	return &tree{table: table, foreign: foreign, members: map[int]bool{}, sessions: map[int]bool{}}
}

func (t *tree) add(pid int) { t.members[pid] = true }

// spread adds descendants and sessions until nothing new is found.
func (t *tree) spread() {
	for grown := true; grown; {
		grown = false
		for _, p := range t.table {
			if t.foreign[p.PID] || (!t.members[p.PID] && !t.belongs(p)) {
				continue
			}
			if !t.members[p.PID] {
				t.add(p.PID)
				grown = true
			}
			if p.Session == p.PID && !t.sessions[p.PID] {
				t.sessions[p.PID] = true
				grown = true
			}
		}
	}
}

func (t *tree) belongs(p procfs.Process) bool {
	return t.members[p.Parent] || t.sessions[p.Session] || t.sessions[p.Group]
}

// adopt adds the agent's other children, which are orphans, when they carry the marker.
func (t *tree) adopt(marker string) (found bool) {
	for _, p := range t.table {
		if p.Parent != os.Getpid() || t.foreign[p.PID] || t.members[p.PID] || p.Zombie() {
			continue
		}
		if procfs.HasEnviron(p.PID, marker) {
			t.add(p.PID)
			found = true
		}
	}
	return found
}

func (t *tree) living() []int {
	var pids []int
	for _, p := range t.table {
		if t.members[p.PID] && !p.Zombie() {
			pids = append(pids, p.PID)
		}
	}
	return pids
}
