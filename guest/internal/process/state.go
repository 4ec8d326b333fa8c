package process

import (
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// ExitTimedOut is the exit code of a process that was ended by its timeout.
	ExitTimedOut  = 124
	signalBase    = 128
	maxArgvBytes  = 4096 // of argv in a state, so that a state always fits a frame
	maxArgvLength = 64
)

// State is what is known about a process. EndedAt and what follows is null while it runs.
type State struct {
	ID           string   `json:"id"`
	PID          int      `json:"pid"`
	State        string   `json:"state"`
	Argv         []string `json:"argv"`
	ArgvOmitted  int      `json:"argv_omitted"`
	StartedAt    string   `json:"started_at"`
	EndedAt      *string  `json:"ended_at"`
	ExitCode     *int     `json:"exit_code"`
	Signal       *string  `json:"signal"`
	TimedOut     bool     `json:"timed_out"`
	OutputBytes  int64    `json:"output_bytes"`
	OmittedBytes int64    `json:"output_omitted_bytes"`
	Truncated    bool     `json:"truncated"`
}

// end is how a process ended.
type end struct {
	at       time.Time
	code     int
	signal   string
	timedOut bool
}

func newEnd(status syscall.WaitStatus, timedOut bool, at time.Time) *end {
	e := &end{at: at, code: status.ExitStatus(), timedOut: timedOut}
	if status.Signaled() {
		e.code = signalBase + int(status.Signal())
		e.signal = SignalName(status.Signal())
	}
	if timedOut {
		e.code = ExitTimedOut
	}
	return e
}

// State returns the process as it is now.
func (p *Process) State() State {
	total, omitted := p.log.Counts()
	argv, left := shorten(p.argv)
	s := State{
		ID: p.ID, PID: p.pid, State: "running", Argv: argv, ArgvOmitted: left,
		StartedAt: stamp(p.started), OutputBytes: total, OmittedBytes: omitted, Truncated: omitted > 0,
	}
	e := p.ended.Load()
	if e == nil {
		return s
	}
	at, code := stamp(e.at), e.code
	s.State, s.EndedAt, s.ExitCode, s.TimedOut = "exited", &at, &code, e.timedOut
	if e.signal != "" {
		s.Signal = &e.signal
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// shorten returns the leading arguments that fit, and how many were left out.
func shorten(argv []string) ([]string, int) {
	room := maxArgvBytes
	for i, arg := range argv {
		if i == maxArgvLength {
			return argv[:i], len(argv) - i
		}
		if len(arg) > room {
			head := append([]string(nil), argv[:i]...)
			return append(head, strings.ToValidUTF8(arg[:room], "")+"…"), len(argv) - i - 1
		}
		room -= len(arg)
	}
	return argv, 0
}

var signalNames = [...]string{
	"", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
	"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

// SignalName returns "SIGTERM" and the like; real-time signals are "SIG34" and so on.
func SignalName(sig syscall.Signal) string {
	if n := int(sig); n > 0 && n < len(signalNames) {
		return "SIG" + signalNames[n]
	}
	return "SIG" + strconv.Itoa(int(sig))
}

// ParseSignal reads "TERM", "SIGTERM" or "15".
func ParseSignal(text string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return syscall.Signal(n), n >= 1 && n <= 64
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	for n, known := range signalNames {
		if n > 0 && known == name {
			return syscall.Signal(n), true
		}
	}
	return 0, false
}
