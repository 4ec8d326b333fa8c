package output

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// entry is a byte and its stream: the plainest model of a log.
type entry struct{ stream, value byte }

type frame struct {
	kind    byte
	offset  int64
	payload []byte
}

func parse(t *testing.T, data []byte) (frames []frame) {
	t.Helper()
	for len(data) > 0 {
		if len(data) < headerSize {
			t.Fatalf("cut header: %d bytes left", len(data))
		}
		length := int(binary.BigEndian.Uint32(data[9:]))
		if length > MaxPayload || len(data) < headerSize+length {
			t.Fatalf("bad length %d with %d bytes left", length, len(data))
		}
		frames = append(frames, frame{data[0], int64(binary.BigEndian.Uint64(data[1:])), data[headerSize : headerSize+length]})
		data = data[headerSize+length:]
	}
	return frames
}

// replay checks that frames cover [from, total) without holes and match the model.
func replay(t *testing.T, model []entry, from int64, frames []frame) (omitted int64) {
	t.Helper()
	at := from
	for _, f := range frames {
		if f.offset != at {
			t.Fatalf("frame %d at %d, expected %d", f.kind, f.offset, at)
		}
		switch f.kind {
		case Stdout, Stderr:
			for i, value := range f.payload {
				if want := model[at+int64(i)]; want != (entry{f.kind, value}) {
					t.Fatalf("offset %d: got %d/%d, want %v", at+int64(i), f.kind, value, want)
				}
			}
			at += int64(len(f.payload))
		case FrameGap:
			var gap struct {
				Omitted int64 `json:"omitted_bytes"`
			}
			if err := json.Unmarshal(f.payload, &gap); err != nil || gap.Omitted <= 0 {
				t.Fatalf("bad gap %s", f.payload)
			}
			at += gap.Omitted
			omitted += gap.Omitted
		case FrameExit:
			if at != int64(len(model)) {
				t.Fatalf("exit at %d of %d", at, len(model))
			}
		}
	}
	return omitted
}

func stream(l *Log, offset int64, follow bool) []byte {
	var out bytes.Buffer
	s := Stream{Log: l, Offset: offset, Follow: follow, Exit: func() []byte { return []byte("{}") }}
	_ = s.Run(context.Background(), &out, func() error { return nil })
	return out.Bytes()
}

// write appends random chunks of both streams and returns the model of what was written.
func write(l *Log, total int, chunk int, random *rand.Rand) (model []entry) {
	for len(model) < total {
		stream := byte(1 + random.IntN(2))
		p := make([]byte, min(1+random.IntN(chunk), total-len(model)))
		for i := range p {
			p[i] = byte(random.Uint32())
			model = append(model, entry{stream, p[i]})
		}
		l.Append(stream, p)
	}
	return model
}

func TestKeepsHeadAndTailExactly(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 255, 256, 300, 5000}
	for _, head := range sizes {
		for _, tail := range sizes {
			for _, total := range []int{0, 1, head, head + 1, head + tail, head + tail + 1, head + tail + 70000} {
				for _, chunk := range []int{1, 17, 9000} {
					if chunk == 1 && total > 20000 {
						continue
					}
					l := NewLog(head, tail)
					model := write(l, total, chunk, random)
					before := parse(t, stream(l, 0, false))
					replay(t, model, 0, before)
					l.Seal()
					omitted := replay(t, model, 0, parse(t, stream(l, 0, true)))
					want := int64(max(0, total-head-tail))
					if _, counted := l.Counts(); omitted != want || counted != want {
						t.Fatalf("head %d tail %d total %d: omitted %d, counted %d, want %d", head, tail, total, omitted, counted, want)
					}
				}
			}
		}
	}
}

func TestResumeFromEveryOffset(t *testing.T) {
	l := NewLog(1000, 500)
	model := write(l, 3000, 40, rand.New(rand.NewPCG(3, 4)))
	for offset := range int64(3001) {
		replay(t, model, offset, parse(t, stream(l, offset, false)))
	}
	l.Seal()
	for offset := range int64(3001) {
		frames := parse(t, stream(l, offset, true))
		replay(t, model, offset, frames)
		if last := frames[len(frames)-1]; last.kind != FrameExit || last.offset != 3000 {
			t.Fatalf("offset %d ends with %v", offset, last)
		}
	}
	beyond := parse(t, stream(l, 1<<40, true))
	if len(beyond) != 1 || beyond[0].kind != FrameExit {
		t.Fatalf("an offset beyond the end gives %v", beyond)
	}
}

func TestFollowersSeeOneLog(t *testing.T) {
	l := NewLog(1<<20, 1000)
	var results [4]chan []byte
	for i := range results {
		results[i] = make(chan []byte, 1)
		go func() { results[i] <- stream(l, 0, true) }()
	}
	model := write(l, 200000, 3000, rand.New(rand.NewPCG(5, 6)))
	l.Seal()
	for _, result := range results {
		replay(t, model, 0, parse(t, <-result))
	}
}

func TestFollowerWaitsForTheTail(t *testing.T) {
	l := NewLog(10, 10)
	l.Append(Stdout, make([]byte, 50))
	if piece := l.Next(10, true); piece.Kind != Wait {
		t.Fatalf("a follower past the head got %v", piece.Kind)
	}
}

func TestKeepalive(t *testing.T) {
	old := Keepalive
	Keepalive = 5 * time.Millisecond
	defer func() { Keepalive = old }()
	l := NewLog(10, 10)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	s := Stream{Log: l, Follow: true}
	_ = s.Run(ctx, &out, func() error { return nil })
	frames := parse(t, out.Bytes())
	if len(frames) < 2 || frames[0].kind != FrameKeepalive {
		t.Fatalf("no keepalives: %v", frames)
	}
}

func TestSmallOutputsCostLittle(t *testing.T) {
	l := NewLog(1<<20, 1<<18)
	l.Append(Stdout, []byte("hello\n"))
	l.Seal()
	if size := cap(l.head.blocks[0].data); size > 256 {
		t.Fatalf("6 bytes take %d", size)
	}
}

func TestTailStaysBounded(t *testing.T) {
	l := NewLog(1000, 100000)
	chunk := make([]byte, 64<<10)
	for range 2000 {
		l.Append(Stdout, chunk)
		held := 0
		for _, b := range l.tail.blocks {
			held += cap(b.data)
		}
		if held > 100000+4*maxBlock {
			t.Fatalf("the tail holds %d bytes", held)
		}
	}
}
