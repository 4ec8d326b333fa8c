package stats

import (
	"bufio"
	"io"
	"os"
	"strings"

	"cognitora/guest/internal/procfs"
	"cognitora/guest/internal/traffic"
)

// Activity tells whether anything goes on besides the agent. The counts only grow, but for the CPU time: that of
// processes whose parent does not wait for them goes with them.
type Activity struct {
	Processes   int   `json:"processes"`
	CPU         int64 `json:"cpu_ms"`
	Input       int64 `json:"input_bytes"`
	Output      int64 `json:"output_bytes"`
	Connections int   `json:"connections"`
}

const (
	init1       = 1
	tickMS      = 10      // the kernel tells users CPU time in hundredths of a second on every machine we know
	maxSockets  = 1 << 20 // bytes read of a table of sockets
	stateColumn = 3
)

// ReadActivity takes the figures now.
func ReadActivity() Activity {
	a := Activity{Input: traffic.Input.Load(), Output: traffic.Output.Load()}
	all, _ := procfs.Snapshot()
	a.Processes, a.CPU = others(all, os.Getpid())
	if os.Getpid() == init1 { // else this is no sandbox, and the connections are the host's
		a.Connections = connections("/proc/net/tcp") + connections("/proc/net/tcp6")
	}
	return a
}

// others counts the processes besides agent, and the CPU time of these and of all that have ended and were collected.
func others(all []procfs.Process, agent int) (count int, cpu int64) {
	parents := make(map[int]int, len(all))
	for _, p := range all {
		parents[p.PID] = p.Parent
	}
	for _, p := range all {
		switch {
		case p.PID == agent:
			cpu += p.Reaped * tickMS
		case agent == init1 || descends(p.PID, agent, parents):
			cpu += (p.CPU + p.Reaped) * tickMS
			if !p.Zombie() {
				count++
			}
		}
	}
	return count, cpu
}

func descends(pid, ancestor int, parents map[int]int) bool {
	for steps := 0; pid > init1 && steps <= len(parents); steps++ {
		if pid = parents[pid]; pid == ancestor {
			return true
		}
	}
	return false
}

// connections counts the sockets in a table of the kernel that are connected, or about to be.
func connections(table string) (count int) {
	file, err := os.Open(table)
	if err != nil {
		return 0
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, maxSockets))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > stateColumn && open(fields[stateColumn]) {
			count++
		}
	}
	return count
}

// open says whether a socket in this state may still carry bytes both ways: established, or being opened.
func open(state string) bool { return state == "01" || state == "02" || state == "03" }
