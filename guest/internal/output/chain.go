package output

import "sort"

// Streams, and the frame types that carry them.
const (
	Stdout byte = 1
	Stderr byte = 2
)

const (
	minBlock = 256
	maxBlock = 32 << 10 // positions in a block must fit 15 bits of a mark
)

// block is a run of output. marks holds (position<<1 | stream-1) wherever the stream
// changes: two bytes a change, so that hostile interleaving costs little memory.
type block struct {
	start int64
	data  []byte
	marks []uint16
}

// chain is a run of blocks without holes.
type chain struct {
	blocks []*block
	size   int
	spare  *block
}

// append adds p, which begins at offset.
func (c *chain) append(stream byte, offset int64, p []byte) {
	c.size += len(p)
	for len(p) > 0 {
		b := c.last()
		if b == nil || len(b.data) == cap(b.data) {
			b = c.grow(offset, len(p))
		}
		n := min(len(p), cap(b.data)-len(b.data))
		b.mark(stream)
		b.data = append(b.data, p[:n]...)
		p, offset = p[n:], offset+int64(n)
	}
}

func (c *chain) last() *block {
	if len(c.blocks) == 0 {
		return nil
	}
	return c.blocks[len(c.blocks)-1]
}

// grow adds an empty block: small at first, so that small outputs cost little, then doubling.
func (c *chain) grow(offset int64, want int) *block {
	size := max(minBlock, want)
	if last := c.last(); last != nil {
		size = max(size, 2*cap(last.data))
	}
	size = min(size, maxBlock)
	b := c.spare
	c.spare = nil
	if b == nil || cap(b.data) < size {
		b = &block{data: make([]byte, 0, size)}
	}
	b.start, b.data, b.marks = offset, b.data[:0], b.marks[:0]
	c.blocks = append(c.blocks, b)
	return b
}

// trim drops blocks from the front while at least keep bytes stay.
func (c *chain) trim(keep int) {
	for len(c.blocks) > 1 && c.size-len(c.blocks[0].data) >= keep {
		c.spare = c.blocks[0]
		c.size -= len(c.spare.data)
		c.blocks[0] = nil
		c.blocks = c.blocks[1:]
	}
}

// at returns the longest run of one stream that begins at offset, which must be inside the chain.
func (c *chain) at(offset int64) (byte, []byte) {
	i := sort.Search(len(c.blocks), func(i int) bool { return c.blocks[i].start > offset }) - 1
	return c.blocks[i].at(int(offset - c.blocks[i].start))
}

func (b *block) mark(stream byte) {
	bit := uint16(stream - 1)
	if n := len(b.marks); n > 0 && b.marks[n-1]&1 == bit {
		return
	}
	b.marks = append(b.marks, uint16(len(b.data))<<1|bit)
}

func (b *block) at(position int) (byte, []byte) {
	i := sort.Search(len(b.marks), func(i int) bool { return int(b.marks[i]>>1) > position })
	end := len(b.data)
	if i < len(b.marks) {
		end = int(b.marks[i] >> 1)
	}
	return byte(b.marks[i-1]&1) + 1, b.data[position:end:end]
}
