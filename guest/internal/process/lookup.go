package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/procfs"
	"cognitora/guest/internal/users"
)

// DefaultPath is searched, and given to the process, when its environment has no PATH.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookup finds the program that name means, for user, in cwd.
func lookup(name, path, cwd string, user *users.User) (string, error) {
	if strings.Contains(name, "/") {
		return lookupFile(name, absolute(cwd, name), user)
	}
	refused := ""
	for dir := range strings.SplitSeq(path, ":") {
		candidate := filepath.Join(absolute(cwd, dir), name)
		info, err := os.Stat(candidate)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if mayExecute(info, user) {
			return candidate, nil
		}
		refused = candidate
	}
	if refused != "" {
		return "", notExecutable(refused)
	}
	return "", fault.New(404, "command_not_found", "The command %q was not found in PATH (%s): install it or give its full path.", clip(name), clip(path))
}

func lookupFile(name, file string, user *users.User) (string, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "", fault.New(404, "command_not_found", "The command %q does not exist (looked for %s): check the path.", clip(name), clip(file))
	case errors.Is(err, syscall.ENAMETOOLONG):
		return "", fault.BadRequest("The name of the command is too long.")
	case err != nil || info.IsDir() || !mayExecute(info, user):
		return "", notExecutable(file)
	}
	return file, nil
}

func absolute(cwd, path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return cwd + "/" + path // not cleaned: "link/.." must mean what the kernel says
}

// mayExecute judges by the mode bits, like the kernel without access lists.
func mayExecute(info fs.FileInfo, user *users.User) bool {
	mode := info.Mode().Perm()
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case user.UID == 0 || !ok:
		return mode&0o111 != 0
	case int(stat.Uid) == user.UID:
		return mode&0o100 != 0
	case int(stat.Gid) == user.GID || slices.Contains(user.Groups, int(stat.Gid)):
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}

// startFault explains why the kernel refused to start file in cwd.
func startFault(err error, file, cwd string, user *users.User) error {
	if full := fault.Resources(err); full != nil {
		return full
	}
	if entry := enter(cwd, user); entry != nil {
		return badCwd(cwd, entry)
	}
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return fault.New(404, "command_not_found", "The command %s needs an interpreter or loader that the image does not have.", clip(file))
	case errors.Is(err, syscall.ENOEXEC):
		return fault.New(403, "not_executable", "The file %s is not a program for this machine: give scripts a #! line, and check the architecture.", clip(file))
	case errors.Is(err, syscall.EPERM):
		return fault.New(403, "not_permitted", "The sandbox does not allow %s to be started as this user.", clip(file))
	case errors.Is(err, syscall.E2BIG):
		return fault.BadRequest("argv and env are too long for the kernel: pass large data through files or stdin.")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ETXTBSY), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ELOOP):
		return notExecutable(file)
	}
	return fault.New(500, "internal", "The command %s could not be started: %v.", clip(file), err)
}

// enter tries whether user may change into cwd.
func enter(cwd string, user *users.User) (err error) {
	procfs.AsUser(user.UID, user.GID, func() { _, err = os.Stat(cwd + "/.") })
	return err
}

func notExecutable(file string) error {
	return fault.New(403, "not_executable", "The file %s cannot be executed by this user: check its mode (chmod +x).", clip(file))
}

func badCwd(cwd string, err error) error {
	why := "it cannot be used"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "it does not exist; create it or set make_cwd"
	case errors.Is(err, syscall.ENOTDIR):
		why = "it is not a directory"
	case errors.Is(err, fs.ErrPermission):
		why = "this user may not enter it"
	}
	return fault.New(400, "bad_cwd", "The working directory %s is wrong: %s.", clip(cwd), why)
}

// clip keeps error messages short.
func clip(text string) string {
	if len(text) > 300 {
		return strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}
