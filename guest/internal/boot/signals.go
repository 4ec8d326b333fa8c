package boot

import (
	"os"
	"os/signal"
	"syscall"
)

// WatchSignals takes every signal that would end or disturb the agent and calls shutdown
// for SIGTERM and SIGPWR. They are caught, not ignored: children would inherit ignoring.
func WatchSignals(shutdown func()) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGPWR)
	go func() {
		<-end
		shutdown()
	}()
	signal.Notify(make(chan os.Signal, 1),
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGIO, syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGVTALRM,
		syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS,
		syscall.SIGSTKFLT, syscall.SIGPROF, syscall.SIGWINCH)
}
