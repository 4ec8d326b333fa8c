package main

import (
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"cognitora/guest/internal/boot"
	"cognitora/guest/internal/files"
	"cognitora/guest/internal/process"
	"cognitora/guest/internal/reaper"
	"cognitora/guest/internal/server"
)

const (
	gcPercent  = 50                    // the agent shares a small memory with its workload
	answerTime = 20 * time.Millisecond // for the last answer to leave
)

// runInit is `agent init`. It returns only when it cannot start.
func runInit(args []string) error {
	options, err := boot.ParseOptions(args)
	if err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	listener, inbox, err := enter(options)
	if err != nil {
		return err
	}
	manager := process.NewManager(reaper.New())
	exit := func() {
		time.Sleep(answerTime)
		os.Exit(0)
	}
	boot.WatchSignals(func() {
		manager.Shutdown()
		exit()
	})
	// Before the first process: it may be one that forks up to the limit within milliseconds.
	manager.Prepare = sync.OnceFunc(boot.SpareThreads)
	go manager.Prepare()
	s := server.Server{Processes: manager, Inbox: inbox, Version: version, Shutdown: manager.Shutdown, Exit: exit}
	return s.Serve(listener)
}

// enter makes this process what the sandbox needs, in the one order that works: what lies in
// hidden directories is opened before they go, privileges go last.
func enter(o boot.Options) (listener net.Listener, inbox *files.Inbox, err error) {
	boot.Shield()
	if err = boot.SealDescriptors(); err != nil {
		return nil, nil, err
	}
	if o.Inbox != "" {
		if inbox, err = files.OpenInbox(o.Inbox); err != nil {
			return nil, nil, err
		}
	}
	if listener, err = boot.Listen(o.Listen); err != nil {
		return nil, nil, err
	}
	if err = boot.Hide(o.Hide); err != nil {
		return nil, nil, err
	}
	if err = boot.DropSysAdmin(); err != nil {
		return nil, nil, err
	}
	if err = boot.LimitCPUs(o.CPUs); err != nil {
		return nil, nil, err
	}
	boot.TuneRuntime()
	return listener, inbox, nil
}
