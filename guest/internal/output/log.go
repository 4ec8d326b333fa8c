// Package output keeps what a process prints, in bounded memory, and sends it as frames.
package output

import "sync"

// Kind says what Next found at an offset.
type Kind int

const (
	Data Kind = iota // bytes of one stream
	Gap              // bytes that were discarded
	Wait             // nothing yet: wait for Changed
	Idle             // nothing now, and the reader does not follow
	End              // the log is sealed and read to its end
)

// Piece is a stretch of the log.
type Piece struct {
	Kind    Kind
	Stream  byte
	Offset  int64
	Bytes   []byte
	Omitted int64
	Changed <-chan struct{}
}

// Log keeps the first and the last bytes of both streams in arrival order.
// Offsets count bytes over both streams. All methods are safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	headMax int
	tailMax int
	head    chain
	tail    chain
	total   int64
	sealed  bool
	changed chan struct{}
}

// NewLog makes a log that keeps headMax bytes from the start and tailMax from the end.
func NewLog(headMax, tailMax int) *Log {
	return &Log{headMax: headMax, tailMax: tailMax}
}

// Append adds what was read from a stream; it never blocks on readers, and does nothing
// once the log is sealed.
func (l *Log) Append(stream byte, p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed || len(p) == 0 {
		return
	}
	if room := l.headMax - l.head.size; room > 0 {
		n := min(room, len(p))
		l.head.append(stream, l.total, p[:n])
		l.total += int64(n)
		p = p[n:]
		l.notify()
	}
	if len(p) == 0 {
		return
	}
	if skip := len(p) - l.tailMax; skip > 0 {
		l.total += int64(skip)
		l.tail = chain{spare: l.tail.spare}
		p = p[skip:]
	}
	if len(p) > 0 {
		l.tail.append(stream, l.total, p)
		l.total += int64(len(p))
		l.tail.trim(l.tailMax)
	}
}

// Seal ends the log; what comes later is discarded.
func (l *Log) Seal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = true
	l.tail.spare = nil
	l.notify()
}

// Counts returns the bytes written so far and those of them that were discarded.
func (l *Log) Counts() (total, omitted int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.tailStart() - int64(l.head.size)
}

// Kept returns the bytes held in memory.
func (l *Log) Kept() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.head.size + l.tail.size)
}

// Next returns what stands at offset. A follower of a log that is not sealed gets the head
// only: the tail would move under it.
func (l *Log) Next(offset int64, follow bool) Piece {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset < int64(l.head.size) {
		stream, data := l.head.at(offset)
		return Piece{Kind: Data, Stream: stream, Offset: offset, Bytes: data}
	}
	if !l.sealed && follow {
		return Piece{Kind: Wait, Offset: offset, Changed: l.waiter()}
	}
	if start := l.tailStart(); offset < start {
		return Piece{Kind: Gap, Offset: offset, Omitted: start - offset}
	}
	if offset < l.total {
		return l.tailPiece(offset)
	}
	if l.sealed {
		return Piece{Kind: End, Offset: l.total}
	}
	return Piece{Kind: Idle, Offset: offset}
}

// tailPiece copies while the tail's blocks are still being reused.
func (l *Log) tailPiece(offset int64) Piece {
	stream, data := l.tail.at(offset)
	if !l.sealed {
		data = append([]byte(nil), data...)
	}
	return Piece{Kind: Data, Stream: stream, Offset: offset, Bytes: data}
}

// tailStart is the offset of the first byte of the tail that counts as kept. The chain may
// hold a part of a block more.
func (l *Log) tailStart() int64 {
	return max(int64(l.head.size), l.total-int64(min(l.tailMax, l.tail.size)))
}

func (l *Log) waiter() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

func (l *Log) notify() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}
