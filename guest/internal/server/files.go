package server

import (
	"io/fs"
	"net/http"
	"net/url"
	"strconv"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/files"
	"cognitora/guest/internal/users"
)

const defaultMode = 0o644

type fileAnswer struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// writeFile: PUT /v1/files
func (s *Server) writeFile(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "path", "cwd", "user", "mode", "source")
	if err != nil {
		return err
	}
	write, err := parseWrite(values)
	if err != nil {
		return err
	}
	var size int64
	if values.Has("source") {
		size, err = write.FromInbox(s.Inbox, values.Get("source"))
	} else {
		size, err = write.From(r.Body)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, fileAnswer{write.Path, size})
}

func parseWrite(values url.Values) (write files.Write, err error) {
	if write.Path, err = files.Resolve(values.Get("path"), values.Get("cwd")); err != nil {
		return write, err
	}
	if write.Owner, err = users.Image.Resolve(values.Get("user")); err != nil {
		return write, err
	}
	write.Mode, err = parseMode(values.Get("mode"))
	return write, err
}

// parseMode reads permission bits in octal; set-id and sticky bits are not taken.
func parseMode(text string) (fs.FileMode, error) {
	if text == "" {
		return defaultMode, nil
	}
	mode, err := strconv.ParseUint(text, 8, 16)
	if err != nil || mode > 0o777 {
		return 0, fault.BadRequest("mode must be octal permission bits such as 0644.")
	}
	return fs.FileMode(mode), nil
}

// readFile: GET /v1/files
func (s *Server) readFile(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "path", "cwd")
	if err != nil {
		return err
	}
	path, err := files.Resolve(values.Get("path"), values.Get("cwd"))
	if err != nil {
		return err
	}
	content, err := files.Open(path)
	if err != nil {
		return err
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(content.Size, 10))
	w.WriteHeader(http.StatusOK)
	if sent, err := content.CopyTo(w); err != nil || sent != content.Size {
		panic(http.ErrAbortHandler) // the client sees a cut answer, never a short file
	}
	return nil
}
