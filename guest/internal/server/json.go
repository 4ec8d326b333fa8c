package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"cognitora/guest/internal/fault"
)

const maxJSON = 4 << 20

type errorAnswer struct {
	Error string `json:"error"`
	Code  string `json:"code"`
}

func writeFault(w http.ResponseWriter, err *fault.Error) {
	_ = writeJSON(w, err.Status, errorAnswer{err.Message, err.Code})
}

// writeJSON answers; an error in sending is the client's going, which needs no answer.
func writeJSON(w http.ResponseWriter, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(encoded)))
	w.WriteHeader(status)
	_, _ = w.Write(encoded)
	return nil
}

// readJSON decodes a bounded body strictly: an unknown field is a misunderstanding.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJSON))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return fault.New(413, "too_large", "The JSON body is longer than %d bytes: pass large data through files or stdin.", maxJSON)
	case errors.Is(err, io.EOF):
		return fault.BadRequest("The request needs a JSON body.")
	case err != nil:
		return fault.BadRequest("The JSON body is wrong: %v.", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fault.BadRequest("The JSON body must be one object with nothing after it.")
	}
	return nil
}

// query reads the parameters and refuses those that the verb does not know, and repeated ones.
func query(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.BadRequest("The query is wrong: %v.", err)
	}
	for name, list := range values {
		if len(list) != 1 || !slices.Contains(known, name) {
			return nil, fault.BadRequest("The query parameter %.100q is unknown here, or given twice.", name)
		}
	}
	return values, nil
}

func boolean(values url.Values, name string) (bool, error) {
	switch values.Get(name) {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, fault.BadRequest("%s must be true or false.", name)
}
