package server

import (
	"net/http"

	"cognitora/guest/internal/process"
)

// getProcess: GET /v1/processes/{id}
func (s *Server) getProcess(w http.ResponseWriter, r *http.Request) error {
	p, err := s.Processes.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, p.State())
}

type listAnswer struct {
	Processes []process.State `json:"processes"`
}

// listProcesses: GET /v1/processes
func (s *Server) listProcesses(w http.ResponseWriter, _ *http.Request) error {
	answer := listAnswer{Processes: []process.State{}}
	for _, p := range s.Processes.List() {
		answer.Processes = append(answer.Processes, p.State())
	}
	return writeJSON(w, http.StatusOK, answer)
}

// waitProcess: GET /v1/processes/{id}/wait
func (s *Server) waitProcess(w http.ResponseWriter, r *http.Request) error {
	p, err := s.Processes.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
		return writeJSON(w, http.StatusOK, p.State())
	case <-r.Context().Done():
		return nil // the client went
	}
}

// deleteProcess: DELETE /v1/processes/{id}
func (s *Server) deleteProcess(w http.ResponseWriter, r *http.Request) error {
	if err := s.Processes.Delete(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
