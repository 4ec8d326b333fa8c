// Package stats tells how busy the sandbox is.
package stats

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"cognitora/guest/internal/boot"
	"cognitora/guest/internal/procfs"
)

// Memory is in bytes, as the sandbox may use it.
type Memory struct {
	Total     int64 `json:"total_bytes"`
	Available int64 `json:"available_bytes"`
}

// Disk is that of the root file system, in bytes.
type Disk struct {
	Total int64 `json:"total_bytes"`
	Used  int64 `json:"used_bytes"`
}

// Stats is a look at the whole sandbox. What cannot be read is 0.
type Stats struct {
	Processes int     `json:"processes"`
	Memory    Memory  `json:"memory"`
	Disk      Disk    `json:"disk"`
	CPUs      int     `json:"cpus"`
	Load1     float64 `json:"load1"`
}

// Read takes the figures now.
func Read() Stats {
	pids, _ := procfs.PIDs()
	return Stats{Processes: len(pids), Memory: memory(), Disk: disk(), CPUs: boot.AllowedCPUs(), Load1: load()}
}

// memory prefers the control group: in a container /proc/meminfo is the whole machine's.
func memory() Memory {
	m := meminfo()
	for _, group := range [][2]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
	} {
		limit, okLimit := number(group[0])
		used, okUsed := number(group[1])
		if okLimit && okUsed && (m.Total == 0 || limit < m.Total) {
			return Memory{Total: limit, Available: min(max(limit-used, 0), max(m.Available, 0))}
		}
	}
	return m
}

func meminfo() (m Memory) {
	for line := range strings.Lines(small("/proc/meminfo")) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			m.Total = kib << 10
		case "MemAvailable:":
			m.Available = kib << 10
		}
	}
	return m
}

func disk() Disk {
	var fs syscall.Statfs_t
	if syscall.Statfs("/", &fs) != nil {
		return Disk{}
	}
	unit := fs.Bsize
	return Disk{Total: int64(fs.Blocks) * unit, Used: int64(fs.Blocks-fs.Bfree) * unit}
}

func load() float64 {
	first, _, _ := strings.Cut(small("/proc/loadavg"), " ")
	value, _ := strconv.ParseFloat(first, 64)
	return value
}

func number(path string) (int64, bool) {
	value, err := strconv.ParseInt(strings.TrimSpace(small(path)), 10, 64)
	return value, err == nil
}

func small(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	data, _ := io.ReadAll(io.LimitReader(file, 64<<10))
	return string(data)
}
