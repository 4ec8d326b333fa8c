package server

import (
	"net/http"
	"strconv"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/output"
)

// processOutput: GET /v1/processes/{id}/output
func (s *Server) processOutput(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "offset", "follow")
	if err != nil {
		return err
	}
	follow, err := boolean(values, "follow")
	if err != nil {
		return err
	}
	offset := int64(0)
	if text := values.Get("offset"); text != "" {
		if offset, err = strconv.ParseInt(text, 10, 64); err != nil || offset < 0 {
			return fault.BadRequest("offset must be a number of bytes, 0 or more.")
		}
	}
	p, err := s.Processes.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	// Once frames flow, an error is the client's going.
	_ = p.Stream(r.Context(), w, offset, follow, beginFrames(w))
	return nil
}

// beginFrames sends the head of a frame stream and returns how to flush it.
func beginFrames(w http.ResponseWriter) func() error {
	w.Header().Set("Content-Type", output.ContentType)
	w.WriteHeader(http.StatusOK)
	return http.NewResponseController(w).Flush
}
