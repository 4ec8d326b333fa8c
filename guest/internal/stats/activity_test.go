package stats

import (
	"os"
	"path/filepath"
	"testing"

	"cognitora/guest/internal/procfs"
)

func TestOthersAreAllButTheAgent(t *testing.T) {
	all := []procfs.Process{
		{PID: 1, Parent: 0, State: 'S', CPU: 900, Reaped: 5},
		{PID: 7, Parent: 1, State: 'S', CPU: 10, Reaped: 20},
		{PID: 8, Parent: 7, State: 'R', CPU: 3},
		{PID: 9, Parent: 7, State: 'Z', CPU: 2},
	}
	if count, cpu := others(all, 1); count != 2 || cpu != 400 {
		t.Errorf("got %d processes and %d ms", count, cpu)
	}
}

func TestOthersOfAnAgentOutsideASandboxDescendFromIt(t *testing.T) {
	all := []procfs.Process{
		{PID: 1, State: 'S', CPU: 900, Reaped: 900},
		{PID: 50, Parent: 1, State: 'S', CPU: 900, Reaped: 1},
		{PID: 51, Parent: 50, State: 'S', CPU: 2},
		{PID: 52, Parent: 51, State: 'S', CPU: 3},
		{PID: 60, Parent: 1, State: 'S', CPU: 900},
		{PID: 70, Parent: 70, State: 'S', CPU: 900},
	}
	if count, cpu := others(all, 50); count != 2 || cpu != 60 {
		t.Errorf("got %d processes and %d ms", count, cpu)
	}
}

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   3: 0100007F:D79D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0        4 1 0 0 0 0 0 -1
   6: 0100007F:A8C0 0100007F:D79D 01 00000000:00000000 00:00000000 00000000     0        0        7 1 0 0 0 0 0 -1
   7: 0100007F:D79D 0100007F:A8C0 08 00000000:00000000 00:00000000 00000000     0        0        8 1 0 0 0 0 0 -1
   8: 0100007F:D79E 0100007F:A8C1 02 00000000:00000000 00:00000000 00000000     0        0        9 1 0 0 0 0 0 -1

`

func TestOnlyOpenConnectionsCount(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tcp")
	if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	if count := connections(file); count != 2 {
		t.Errorf("got %d", count)
	}
	if count := connections(file + "-missing"); count != 0 {
		t.Errorf("got %d of nothing", count)
	}
}
