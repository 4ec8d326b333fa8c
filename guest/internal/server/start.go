package server

import (
	"net/http"

	"cognitora/guest/internal/output"
	"cognitora/guest/internal/process"
)

// startProcess: POST /v1/processes
func (s *Server) startProcess(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "follow")
	if err != nil {
		return err
	}
	follow, err := boolean(values, "follow")
	if err != nil {
		return err
	}
	var request process.Request
	if err := readJSON(w, r, &request); err != nil {
		return err
	}
	p, created, err := s.Processes.Start(&request)
	if err != nil {
		return err
	}
	if follow {
		return followFrom(w, r, p)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return writeJSON(w, status, p.State())
}

// followFrom answers with the started frame and then all output: an exec in one round trip.
func followFrom(w http.ResponseWriter, r *http.Request, p *process.Process) error {
	flush := beginFrames(w)
	if err := output.WriteFrame(w, output.FrameStarted, 0, p.StateFrame()); err != nil {
		return nil
	}
	if flush() == nil {
		_ = p.Stream(r.Context(), w, 0, true, flush)
	}
	return nil
}
