package files

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/users"
)

var root = &users.User{Home: "/"}

func code(err error) string {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Code
	}
	return ""
}

func put(t *testing.T, path, content string) error {
	t.Helper()
	_, err := Write{Path: path, Owner: root, Mode: 0o644}.From(strings.NewReader(content))
	return err
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return strings.Join(list, " ")
}

func TestResolve(t *testing.T) {
	for _, c := range []struct{ path, cwd, want string }{
		{"/a/b", "", "/a/b"}, {"a", "", "/a"}, {"a", "/w", "/w/a"}, {"../a", "/w/x", "/w/a"}, {"../../../../a", "/w", "/a"},
		{"a/", "/w", "/w/a/"}, {"a/..", "/w", "/w/"}, {"a/.", "/w", "/w/a/"}, {"/", "", "/"}, {".", "/w", "/w/"}, {"a", "w", "/w/a"},
		{"//a///b", "", "/a/b"}, {"a b\n\xff", "/", "/a b\n\xff"},
	} {
		if got, err := Resolve(c.path, c.cwd); err != nil || got != c.want {
			t.Errorf("%q in %q: %q %v, want %q", c.path, c.cwd, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "a\x00b", "/" + strings.Repeat("a/", 2100), strings.Repeat("x", 256), "a/" + strings.Repeat("x", 300) + "/b"} {
		if _, err := Resolve(bad, "/"); code(err) != "bad_path" {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("a/../b", "/w")
	f.Add("./..//", "")
	f.Fuzz(func(t *testing.T, path, cwd string) {
		got, err := Resolve(path, cwd)
		if err != nil {
			return
		}
		if !strings.HasPrefix(got, "/") || strings.ContainsRune(got, 0) || len(got) > maxPath {
			t.Fatalf("%q in %q gives %q", path, cwd, got)
		}
		for part := range strings.SplitSeq(strings.Trim(got, "/"), "/") {
			if part == ".." || part == "." || (part == "" && got != "/") {
				t.Fatalf("%q in %q gives %q", path, cwd, got)
			}
		}
	})
}

func TestWriteReplacesWhole(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/deep/er/f"
	for _, content := range []string{"one", "", strings.Repeat("z", 1<<20+17)} {
		if err := put(t, path, content); err != nil {
			t.Fatal(err)
		}
		if data, _ := os.ReadFile(path); string(data) != content {
			t.Errorf("got %d bytes, want %d", len(data), len(content))
		}
	}
	broken := io.MultiReader(strings.NewReader(strings.Repeat("y", 600000)), errReader{})
	if _, err := (Write{Path: path, Owner: root, Mode: 0o600}).From(broken); code(err) != "bad_request" {
		t.Errorf("a cut body gives %v", err)
	}
	if data, _ := os.ReadFile(path); len(data) != 1<<20+17 || names(t, dir+"/deep/er") != "f" {
		t.Errorf("a cut body left %d bytes and %q", len(data), names(t, dir+"/deep/er"))
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestOwnerAndMode(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	w := Write{Path: dir + "/a/b/f", Owner: &users.User{UID: 1234, GID: 4321}, Mode: 0o751}
	if _, err := w.From(strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/a", "/a/b", "/a/b/f"} {
		info, _ := os.Stat(dir + name)
		stat := info.Sys().(*syscall.Stat_t)
		if stat.Uid != 1234 || stat.Gid != 4321 {
			t.Errorf("%s belongs to %d:%d", name, stat.Uid, stat.Gid)
		}
	}
	if info, _ := os.Stat(w.Path); info.Mode().Perm() != 0o751 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestHostileTargets(t *testing.T) {
	dir := t.TempDir()
	_ = os.Mkdir(dir+"/sub", 0o755)
	_ = os.WriteFile(dir+"/plain", []byte("old"), 0o644)
	_ = syscall.Mkfifo(dir+"/fifo", 0o644)
	_ = os.Symlink("loop", dir+"/loop")
	_ = os.Symlink("sub/new", dir+"/link")
	_ = os.Symlink("sub", dir+"/dirlink")
	for path, want := range map[string]string{
		"/sub": "is_directory", "/sub/": "is_directory", "/dirlink": "is_directory", "/fifo": "not_regular", "/loop": "bad_path",
		"/plain/x": "not_directory", "/new/": "is_directory",
	} {
		if err := put(t, dir+path, "x"); code(err) != want {
			t.Errorf("%s: %v (%s), want %s", path, err, code(err), want)
		}
	}
	if err := put(t, dir+"/link", "through"); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(dir + "/sub/new"); string(data) != "through" {
		t.Errorf("through the link: %q", data)
	}
}

func TestReading(t *testing.T) {
	dir := t.TempDir()
	_ = os.WriteFile(dir+"/f", bytes.Repeat([]byte("q"), 700001), 0o644)
	_ = syscall.Mkfifo(dir+"/fifo", 0o644)
	for path, want := range map[string]string{
		dir + "/none": "not_found", dir: "is_directory", dir + "/fifo": "not_regular", "/dev/zero": "not_regular", dir + "/f/x": "not_directory",
	} {
		done := make(chan string, 1)
		go func() {
			_, err := Open(path)
			done <- code(err)
		}()
		select {
		case got := <-done:
			if got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s hangs", path)
		}
	}
	for path, atLeast := range map[string]int64{dir + "/f": 700001, "/proc/self/status": 100} {
		content, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if n, err := content.CopyTo(&out); err != nil || n != content.Size || n < atLeast {
			t.Errorf("%s: %d of %d, %v", path, n, content.Size, err)
		}
		content.Close()
	}
}

func TestFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no tmpfs: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, 2) }()
	if err := put(t, dir+"/f", "small"); err != nil {
		t.Fatal(err)
	}
	if err := put(t, dir+"/f", strings.Repeat("x", 2<<20)); code(err) != "no_space" {
		t.Errorf("got %v", err)
	}
	inbox := makeInbox(t, 2<<20)
	if _, err := (Write{Path: dir + "/f", Owner: root, Mode: 0o644}).FromInbox(inbox, "file"); code(err) != "no_space" {
		t.Errorf("from the inbox: %v", err)
	}
	if data, _ := os.ReadFile(dir + "/f"); string(data) != "small" || names(t, dir) != "f" {
		t.Errorf("left %q in %q", data, names(t, dir))
	}
}

func makeInbox(t *testing.T, size int) *Inbox {
	t.Helper()
	dir := t.TempDir()
	_ = os.WriteFile(dir+"/file", bytes.Repeat([]byte("i"), size), 0o644)
	_ = os.Symlink("/etc/passwd", dir+"/link")
	_ = os.Mkdir(dir+"/dir", 0o755)
	_ = syscall.Mkfifo(dir+"/fifo", 0o644)
	inbox, err := OpenInbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	return inbox
}

func TestInbox(t *testing.T) {
	inbox := makeInbox(t, 40<<20)
	w := Write{Path: t.TempDir() + "/f", Owner: root, Mode: 0o644}
	if n, err := w.FromInbox(inbox, "file"); err != nil || n != 40<<20 {
		t.Fatal(n, err)
	}
	if info, _ := os.Stat(w.Path); info.Size() != 40<<20 {
		t.Errorf("size %d", info.Size())
	}
	for name, want := range map[string]string{
		"none": "source_not_found", "link": "source_not_found", "dir": "source_not_found", "fifo": "source_not_found", "..": "bad_request",
		"a/b": "bad_request", "": "bad_request",
	} {
		if _, err := w.FromInbox(inbox, name); code(err) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := w.FromInbox(nil, "file"); code(err) != "no_inbox" {
		t.Errorf("without an inbox: %v", err)
	}
	if names(t, filepath.Dir(w.Path)) != "f" {
		t.Error("something was left behind")
	}
}

func needRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}
