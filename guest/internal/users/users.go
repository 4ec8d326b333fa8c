// Package users turns "name", "uid", "name:group" and the like into numbers, by the
// image's own /etc/passwd and /etc/group, the way docker does.
package users

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"cognitora/guest/internal/fault"
)

const (
	maxID      = 1<<31 - 1
	maxDBBytes = 4 << 20 // more of a passwd or group file is not read
	maxGroups  = 1024
)

// User is who a process runs as, or a file belongs to.
type User struct {
	UID, GID int
	Groups   []int // supplementary
	Home     string
}

// Database names the files that users are looked up in.
type Database struct{ Passwd, Group string }

// Image is the database of the sandbox's image.
var Image = Database{Passwd: "/etc/passwd", Group: "/etc/group"}

// Resolve finds the user that spec names: "", "name", "uid", each with an optional ":group".
func (d Database) Resolve(spec string) (*User, error) {
	name, group, hasGroup := strings.Cut(spec, ":")
	if len(spec) > 512 || strings.ContainsAny(spec, "\x00\n") || (hasGroup && group == "") {
		return nil, bad(spec, "it must be a name or number, with an optional :group")
	}
	user, login, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if hasGroup {
		user.GID, err = d.findGroup(group)
		return user, err
	}
	user.Groups = d.groupsOf(login, user.GID)
	return user, nil
}

// find looks name up in passwd; an unknown number is a user of its own with group 0.
func (d Database) find(name string) (*User, string, error) {
	if name == "" {
		name = "0"
	}
	number, numeric := parseID(name)
	for fields := range entries(d.Passwd, 7) {
		uid, ok1 := parseID(fields[2])
		gid, ok2 := parseID(fields[3])
		if ok1 && ok2 && (fields[0] == name || (numeric && uid == number)) {
			return &User{UID: uid, GID: gid, Home: homeOr(fields[5])}, fields[0], nil
		}
	}
	if !numeric {
		return nil, "", bad(name, "the image has no such user")
	}
	return &User{UID: number, Home: "/"}, "", nil
}

func (d Database) findGroup(name string) (int, error) {
	number, numeric := parseID(name)
	for fields := range entries(d.Group, 4) {
		gid, ok := parseID(fields[2])
		if ok && (fields[0] == name || (numeric && gid == number)) {
			return gid, nil
		}
	}
	if !numeric {
		return 0, bad(name, "the image has no such group")
	}
	return number, nil
}

func (d Database) groupsOf(login string, primary int) []int {
	if login == "" {
		return nil
	}
	var groups []int
	for fields := range entries(d.Group, 4) {
		gid, ok := parseID(fields[2])
		if !ok || gid == primary || slices.Contains(groups, gid) || len(groups) == maxGroups {
			continue
		}
		if slices.Contains(strings.Split(fields[3], ","), login) {
			groups = append(groups, gid)
		}
	}
	return groups
}

// entries yields the lines of a colon-separated file that have at least want fields.
// A file that is missing or not a regular one has none.
func entries(path string, want int) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(readRegular(path)) {
			fields := strings.Split(strings.TrimRight(line, "\r\n"), ":")
			if len(fields) >= want && !yield(fields) {
				return
			}
		}
	}
}

func readRegular(path string) string {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data, _ := io.ReadAll(io.LimitReader(file, maxDBBytes))
	return string(data)
}

// parseID reads a user or group number in decimal digits only.
func parseID(text string) (int, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	id, err := strconv.Atoi(text)
	return id, err == nil && id <= maxID
}

func homeOr(home string) string {
	if strings.HasPrefix(home, "/") && !strings.Contains(home, "\x00") {
		return home
	}
	return "/"
}

func bad(spec, why string) error {
	return fault.New(400, "bad_user", "The user %q cannot be used: %s.", spec, why)
}
