package output

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"time"
)

// ContentType is the media type of a stream of frames.
const ContentType = "application/vnd.cognitora.frames"

// Frame types besides Stdout and Stderr.
const (
	FrameExit      byte = 3
	FrameGap       byte = 4
	FrameStarted   byte = 5
	FrameKeepalive byte = 6
)

// MaxPayload bounds the payload of a frame.
const MaxPayload = 64 << 10

const headerSize = 13

// Keepalive is how long a follower hears nothing before a keepalive frame is sent.
var Keepalive = 15 * time.Second

// WriteFrame writes one frame: type, offset, length (big-endian), payload.
func WriteFrame(w io.Writer, kind byte, offset int64, payload []byte) error {
	var header [headerSize]byte
	header[0] = kind
	binary.BigEndian.PutUint64(header[1:], uint64(offset))
	binary.BigEndian.PutUint32(header[9:], uint32(len(payload)))
	if _, err := w.Write(header[:]); err != nil {
		return err
	}
	if len(payload) == 0 {
		return nil
	}
	_, err := w.Write(payload)
	return err
}

// Stream sends a log as frames from Offset on.
type Stream struct {
	Log    *Log
	Offset int64
	Follow bool
	// Exit gives the payload of the exit frame; it is called once the log is sealed.
	Exit func() []byte
}

// Run writes frames until the exit frame, or, when it does not follow, until nothing is
// left. It ends early when ctx does.
func (s *Stream) Run(ctx context.Context, w io.Writer, flush func() error) error {
	offset := s.Offset
	for {
		piece := s.Log.Next(offset, s.Follow)
		var err error
		switch piece.Kind {
		case Data:
			err = WriteFrame(w, piece.Stream, offset, piece.Bytes)
			offset += int64(len(piece.Bytes))
		case Gap:
			err = WriteFrame(w, FrameGap, offset, gapPayload(piece.Omitted))
			offset += piece.Omitted
		case Wait:
			if err = flush(); err == nil {
				err = pause(ctx, piece.Changed, offset, w)
			}
		case End:
			if err = WriteFrame(w, FrameExit, piece.Offset, s.Exit()); err != nil {
				return err
			}
			return flush()
		case Idle:
			return flush()
		}
		if err != nil {
			return err
		}
	}
}

func gapPayload(omitted int64) []byte {
	payload, _ := json.Marshal(map[string]int64{"omitted_bytes": omitted})
	return payload
}

// pause waits for a change; a long silence becomes a keepalive frame.
func pause(ctx context.Context, changed <-chan struct{}, offset int64, w io.Writer) error {
	timer := time.NewTimer(Keepalive)
	defer timer.Stop()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return WriteFrame(w, FrameKeepalive, offset, nil)
	}
}
