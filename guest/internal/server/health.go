package server

import (
	"net/http"
	"os"
	"runtime"
)

type healthAnswer struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	PID      int    `json:"pid"`
	UptimeMS int64  `json:"uptime_ms"`
	Arch     string `json:"arch"`
}

// health: GET /v1/health
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, healthAnswer{Protocol, s.Version, os.Getpid(), s.uptime(), runtime.GOARCH})
}
