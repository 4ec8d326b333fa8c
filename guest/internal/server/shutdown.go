package server

import "net/http"

type shutdownAnswer struct {
	State string `json:"state"`
}

// shutdown: POST /v1/shutdown
func (s *Server) shutdown(w http.ResponseWriter, _ *http.Request) error {
	s.Shutdown()
	w.Header().Set("Connection", "close")
	err := writeJSON(w, http.StatusOK, shutdownAnswer{"down"})
	_ = http.NewResponseController(w).Flush()
	go s.Exit()
	return err
}
