package server

import (
	"encoding/json"
	"net/http"
	"strings"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/process"
)

type signalRequest struct {
	Signal json.RawMessage `json:"signal"`
	Tree   *bool           `json:"tree"`
}

type signalAnswer struct {
	Signalled int `json:"signalled"`
}

// signalProcess: POST /v1/processes/{id}/signal
func (s *Server) signalProcess(w http.ResponseWriter, r *http.Request) error {
	var request signalRequest
	if err := readJSON(w, r, &request); err != nil {
		return err
	}
	signal, ok := process.ParseSignal(strings.Trim(string(request.Signal), `"`))
	if !ok {
		return fault.BadRequest("signal must be a name such as TERM or a number from 1 to 64.")
	}
	p, err := s.Processes.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	tree := request.Tree == nil || *request.Tree
	return writeJSON(w, http.StatusOK, signalAnswer{s.Processes.Signal(p, signal, tree)})
}
