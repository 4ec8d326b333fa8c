package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/files"
	"cognitora/guest/internal/output"
	"cognitora/guest/internal/reaper"
	"cognitora/guest/internal/users"
)

// The kernel ends workloads before the agent when memory runs out.
const oomScore = "500"

// launch starts what a checked request asks for.
func launch(r *reaper.Reaper, req *Request) (*Process, error) {
	user, err := users.Image.Resolve(req.User)
	if err != nil {
		return nil, err
	}
	if err := prepareCwd(req, user); err != nil {
		return nil, err
	}
	env, path := environment(req, user)
	file, err := lookup(req.Argv[0], path, req.Cwd, user)
	if err != nil {
		return nil, err
	}
	pipes, err := openPipes(req)
	if err != nil {
		return nil, fault.Of(err)
	}
	attr := &syscall.ProcAttr{Dir: req.Cwd, Env: env, Files: pipes.child(), Sys: attributes(user)}
	started := time.Now()
	pid, exited, err := r.Start(file, req.Argv, attr)
	pipes.closeChild()
	if err != nil {
		pipes.closeOurs()
		return nil, startFault(err, file, req.Cwd, user)
	}
	yieldToOOM(pid)
	return newProcess(req, pid, started, exited, pipes), nil
}

func newProcess(req *Request, pid int, started time.Time, exited <-chan syscall.WaitStatus, pipes *pipes) *Process {
	p := &Process{
		ID: req.ID, argv: req.Argv, digest: req.digest(), pid: pid, started: started, exited: exited,
		log: output.NewLog(*req.Output.HeadBytes, *req.Output.TailBytes), done: make(chan struct{}),
	}
	p.pumps = append(p.pumps, output.NewPump(pipes.stdout, output.Stdout, p.log))
	if pipes.stderr != nil {
		p.pumps = append(p.pumps, output.NewPump(pipes.stderr, output.Stderr, p.log))
	}
	if pipes.stdin != nil {
		p.stdin = newStdin(pipes.stdin)
	}
	return p
}

func prepareCwd(req *Request, user *users.User) error {
	info, err := os.Stat(req.Cwd)
	if errors.Is(err, fs.ErrNotExist) && req.MakeCwd {
		if err := files.MakeDirs(filepath.Clean(req.Cwd), user); err != nil {
			if full := fault.Resources(err); full != nil {
				return full
			}
			return badCwd(req.Cwd, err)
		}
		return nil
	}
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return badCwd(req.Cwd, err)
	}
	return nil
}

// environment returns the process's variables and the PATH among them.
func environment(req *Request, user *users.User) (env []string, path string) {
	env = make([]string, 0, len(req.Env)+3)
	for name, value := range req.Env {
		if name != Marker {
			env = append(env, name+"="+value)
		}
	}
	path, ok := req.Env["PATH"]
	if !ok {
		path = DefaultPath
		env = append(env, "PATH="+path)
	}
	if _, ok := req.Env["HOME"]; !ok {
		env = append(env, "HOME="+user.Home)
	}
	return append(env, Marker+"="+req.ID), path
}

// attributes puts the process into a session of its own and, where it differs from the
// agent, under its own user.
func attributes(user *users.User) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if user.UID == os.Geteuid() && user.GID == os.Getegid() && len(user.Groups) == 0 {
		if held, err := os.Getgroups(); err == nil && onlyPrimary(held, user.GID) {
			return attr
		}
	}
	if os.Geteuid() != 0 && user.UID == 0 {
		return attr // an agent without root, as in development, runs everything as itself
	}
	groups := make([]uint32, len(user.Groups))
	for i, group := range user.Groups {
		groups[i] = uint32(group)
	}
	attr.Credential = &syscall.Credential{Uid: uint32(user.UID), Gid: uint32(user.GID), Groups: groups}
	return attr
}

func onlyPrimary(groups []int, primary int) bool {
	for _, group := range groups {
		if group != primary {
			return false
		}
	}
	return true
}

func yieldToOOM(pid int) {
	fd, err := syscall.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = syscall.Write(fd, []byte(oomScore))
	_ = syscall.Close(fd)
}
