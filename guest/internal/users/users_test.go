package users

import (
	"errors"
	"os"
	"reflect"
	"syscall"
	"testing"

	"cognitora/guest/internal/fault"
)

const passwd = `root:x:0:0:root:/root:/bin/sh
broken line
app:x:1000:100:,,,:/home/app:/bin/sh
relative:x:1001:100::home:/bin/sh
huge:x:99999999999:1::/:/bin/sh
`

const group = `root:x:0:
users:x:100:app
docker:x:200:other,app
video:x:300:app,
wheel:x:10:root
`

func database(t testing.TB, passwd, group string) Database {
	dir := t.TempDir()
	d := Database{dir + "/passwd", dir + "/group"}
	if os.WriteFile(d.Passwd, []byte(passwd), 0o644) != nil || os.WriteFile(d.Group, []byte(group), 0o644) != nil {
		t.Fatal("cannot write the database")
	}
	return d
}

func TestResolve(t *testing.T) {
	d := database(t, passwd, group)
	for spec, want := range map[string]*User{
		"":            {0, 0, []int{10}, "/root"},
		"0":           {0, 0, []int{10}, "/root"},
		"root":        {0, 0, []int{10}, "/root"},
		"app":         {1000, 100, []int{200, 300}, "/home/app"},
		"1000":        {1000, 100, []int{200, 300}, "/home/app"},
		"app:docker":  {1000, 200, nil, "/home/app"},
		"app:4321":    {1000, 4321, nil, "/home/app"},
		"4242":        {4242, 0, nil, "/"},
		"4242:users":  {4242, 100, nil, "/"},
		"relative":    {1001, 100, nil, "/"},
		":users":      {0, 100, nil, "/root"},
		"2147483647":  {2147483647, 0, nil, "/"},
		"2147483648":  nil,
		"nobody":      nil,
		"huge":        nil,
		"app:":        nil,
		"app:nogroup": nil,
		"-1":          nil,
		"+5":          nil,
		"a\x00b":      nil,
		"app:a:b":     nil,
	} {
		got, err := d.Resolve(spec)
		var known *fault.Error
		if want == nil && (!errors.As(err, &known) || known.Code != "bad_user") {
			t.Errorf("%q: %v %v", spec, got, err)
		}
		if want != nil && (err != nil || !reflect.DeepEqual(got, want)) {
			t.Errorf("%q: %+v %v, want %+v", spec, got, err, want)
		}
	}
}

func TestMissingAndHostileDatabases(t *testing.T) {
	missing := Database{"/nonexistent/passwd", "/nonexistent/group"}
	if u, err := missing.Resolve(""); err != nil || u.UID != 0 || u.Home != "/" {
		t.Errorf("scratch image: %v %v", u, err)
	}
	fifo := t.TempDir() + "/fifo"
	_ = syscall.Mkfifo(fifo, 0o644)
	for _, path := range []string{fifo, "/dev/zero", t.TempDir()} {
		if u, err := (Database{path, path}).Resolve("7"); err != nil || u.UID != 7 {
			t.Errorf("%s: %v %v", path, u, err)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("app:users", passwd, group)
	f.Add("0", "::::::\n", ":::\n")
	f.Fuzz(func(t *testing.T, spec, passwd, group string) {
		u, err := database(t, passwd, group).Resolve(spec)
		if err == nil && (u.UID < 0 || u.UID > maxID || u.GID < 0 || u.GID > maxID || u.Home == "" || u.Home[0] != '/') {
			t.Fatalf("%q gives %+v", spec, u)
		}
	})
}
