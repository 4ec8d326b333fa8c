package process

import (
	"fmt"
	"sort"
	"sync"
	"time"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/reaper"
)

const (
	maxFinished  = 256
	maxKeptBytes = 32 << 20
	maxSpent     = 4096
)

// Manager knows every process that the host started, by the id the host chose.
type Manager struct {
	Prepare func() // if set, it is called, and waited for, before each start

	reaper *reaper.Reaper

	mu       sync.Mutex
	slots    map[string]*slot
	finished []*Process      // oldest first
	spent    map[string]bool // ids that were evicted: they must not start again
	spentAge []string
	closing  bool
}

// slot holds an id from the moment a start is asked for.
type slot struct {
	ready   chan struct{} // closed once process or err is set
	process *Process
	err     error
}

// NewManager makes an empty Manager.
func NewManager(r *reaper.Reaper) *Manager {
	return &Manager{reaper: r, slots: map[string]*slot{}, spent: map[string]bool{}}
}

// Start starts a process, or returns the one that has this id already (created is false).
func (m *Manager) Start(req *Request) (p *Process, created bool, err error) {
	if err := req.check(); err != nil {
		return nil, false, err
	}
	s, mine, err := m.claim(req.ID)
	if err != nil {
		return nil, false, err
	}
	if !mine {
		<-s.ready
		return same(s, req)
	}
	p, err = m.launch(req)
	m.mu.Lock()
	s.process, s.err = p, err
	if err != nil {
		delete(m.slots, req.ID)
	}
	m.mu.Unlock()
	close(s.ready)
	if err == nil {
		go m.watch(p, time.Duration(req.TimeoutMS)*time.Millisecond)
	}
	return p, err == nil, err
}

// claim returns the slot of id, and whether it was made for the caller.
func (m *Manager) claim(id string) (*slot, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.slots[id]; ok {
		return s, false, nil
	}
	if m.closing {
		return nil, false, fault.New(503, "shutting_down", "The sandbox is shutting down: start the process in another one.")
	}
	if m.spent[id] {
		return nil, false, fault.New(409, "exists", "The process %s ran before and its result is no longer kept: choose another id.", id)
	}
	s := &slot{ready: make(chan struct{})}
	m.slots[id] = s
	return s, true, nil
}

func same(s *slot, req *Request) (*Process, bool, error) {
	if s.err != nil {
		return nil, false, s.err
	}
	if s.process.digest != req.digest() {
		return nil, false, fault.New(409, "exists", "The id %s belongs to a process that was started with another request: choose another id.", req.ID)
	}
	return s.process, false, nil
}

// launch keeps a bug from leaving a slot that is never ready.
func (m *Manager) launch(req *Request) (p *Process, err error) {
	defer func() {
		if trouble := recover(); trouble != nil {
			err = fmt.Errorf("starting the process panicked: %v", trouble)
		}
	}()
	if m.Prepare != nil {
		m.Prepare()
	}
	return launch(m.reaper, req)
}

// watch waits for the end, enforces the timeout, and publishes: after a timeout once the whole tree is gone.
func (m *Manager) watch(p *Process, timeout time.Duration) {
	killed := make(chan struct{})
	if timeout > 0 {
		timer := time.AfterFunc(time.Until(p.started.Add(timeout)), func() {
			p.overdue.Store(true)
			m.killTree(p)
			close(killed)
		})
		defer timer.Stop()
	}
	status := <-p.exited
	at, overdue := time.Now(), p.overdue.Load()
	if overdue {
		<-killed
	}
	p.drain()
	p.finish(newEnd(status, overdue, at))
	m.retire(p)
}

// retire remembers a finished process and evicts the oldest beyond the bounds; the newest always stays.
func (m *Manager) retire(p *Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finished = append(m.finished, p)
	kept := int64(0)
	for _, old := range m.finished {
		kept += old.log.Kept()
	}
	for len(m.finished) > 1 && (len(m.finished) > maxFinished || kept > maxKeptBytes) {
		old := m.finished[0]
		m.finished = m.finished[1:]
		kept -= old.log.Kept()
		delete(m.slots, old.ID)
		m.remember(old.ID)
	}
}

func (m *Manager) remember(id string) {
	m.spent[id] = true
	m.spentAge = append(m.spentAge, id)
	if len(m.spentAge) > maxSpent {
		delete(m.spent, m.spentAge[0])
		m.spentAge = m.spentAge[1:]
	}
}

// Get returns a process by its id.
func (m *Manager) Get(id string) (*Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.slots[id]; ok && s.process != nil {
		return s.process, nil
	}
	return nil, fault.New(404, "not_found", "There is no process %q here: it was never started, or its result is no longer kept.", clip(id))
}

// List returns all processes, oldest first.
func (m *Manager) List() []*Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*Process, 0, len(m.slots))
	for _, s := range m.slots {
		if s.process != nil {
			list = append(list, s.process)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].started.Before(list[j].started) })
	return list
}

// Delete frees a finished process and its id.
func (m *Manager) Delete(id string) error {
	p, err := m.Get(id)
	if err != nil {
		return err
	}
	if p.Running() {
		return fault.New(409, "running", "The process %s is still running: end it first.", id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.slots, id)
	for i, old := range m.finished {
		if old == p {
			m.finished = append(m.finished[:i:i], m.finished[i+1:]...)
			break
		}
	}
	return nil
}

// Close refuses further starts and kills every tree.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closing = true
	m.mu.Unlock()
	for _, p := range m.List() {
		m.killTree(p)
	}
}

// others lists the running main processes besides p.
func (m *Manager) others(p *Process) map[int]bool {
	pids := map[int]bool{}
	for _, other := range m.List() {
		if other != p && m.reaper.Owns(other.pid) {
			pids[other.pid] = true
		}
	}
	return pids
}

// Totals counts the running and the finished processes, and the bytes of output kept for both.
func (m *Manager) Totals() (running, finished int, kept int64) {
	for _, p := range m.List() {
		kept += p.log.Kept()
		if p.Running() {
			running++
		} else {
			finished++
		}
	}
	return running, finished, kept
}
