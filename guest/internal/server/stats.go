package server

import (
	"net/http"

	"cognitora/guest/internal/stats"
)

type statsAnswer struct {
	stats.Stats
	UptimeMS      int64          `json:"uptime_ms"`
	OpenProcesses int            `json:"open_processes"`
	KeptProcesses int            `json:"kept_processes"`
	KeptBytes     int64          `json:"kept_output_bytes"`
	Activity      stats.Activity `json:"activity"`
}

// stats: GET /v1/stats
func (s *Server) stats(w http.ResponseWriter, _ *http.Request) error {
	answer := statsAnswer{Stats: stats.Read(), UptimeMS: s.uptime(), Activity: stats.ReadActivity()}
	answer.OpenProcesses, answer.KeptProcesses, answer.KeptBytes = s.Processes.Totals()
	return writeJSON(w, http.StatusOK, answer)
}
