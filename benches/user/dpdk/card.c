/*
 * DPDK's net_virtio_user as a subject of `make bench-user`: transmits or receives frames of 64 bytes, in bursts of 32.
 *
 * It does what benches/user/src/subject/our_card.rs does with our driver, and speaks the same way: see benches/user/src/subject/mod.rs.
 * Built by scripts/bench-user.sh, run by user-bench. Usage: card EAL-ARGUMENTS -- transmit|receive windows MILLISECONDS|bursts COUNT
 */

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

/* How many whole bursts took how many cycles, 4 of them not told apart: see benches/user/src/subject/middle.rs. */
enum { STEP = 4, STEPS = 1 << 14 };
static uint32_t steps[STEPS];

enum { BURST = 32, FRAME_BYTES = 64, BUFFERS = 8192, CACHE = 250, PORT = 0, QUEUE = 0 };

/* Sent to everybody, with a type that is for experiments. */
static const uint8_t frame[FRAME_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

/* Lines that came, and whether no more will come. */
static atomic_uint lines;
static atomic_bool over;

struct window {
	uint64_t frames;        /* handed in, or received */
	uint64_t counted;       /* those of whole bursts */
	uint64_t begin;         /* nanoseconds */
	uint64_t bursts;        /* that had a frame */
};

static uint64_t nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "dpdk card: %s\n", what);
	exit(EXIT_FAILURE);
}

static void *listen_to_input(void *unused)
{
	int character;
	(void)unused;
	while ((character = getchar()) != EOF)
		if (character == '\n')
			atomic_fetch_add(&lines, 1);
	atomic_store(&over, true);
	return NULL;
}

/* Two functions with names, for callgrind to find. */
static __rte_noinline uint16_t counted_submit(struct rte_mbuf **burst, uint16_t count)
{
	return rte_eth_tx_burst(PORT, QUEUE, burst, count);
}

static __rte_noinline uint16_t counted_complete(struct rte_mbuf **burst)
{
	uint16_t received = rte_eth_rx_burst(PORT, QUEUE, burst, BURST);
	for (uint16_t index = 0; index < received; index++)
		rte_pktmbuf_free(burst[index]);
	return received;
}

static void make(struct rte_mempool *pool, struct rte_mbuf **burst)
{
	if (rte_pktmbuf_alloc_bulk(pool, burst, BURST) != 0)
		fail("all buffers are out");
	for (int index = 0; index < BURST; index++) {
		memcpy(rte_pktmbuf_mtod(burst[index], void *), frame, FRAME_BYTES);
		burst[index]->data_len = FRAME_BYTES;
		burst[index]->pkt_len = FRAME_BYTES;
	}
}

static void count(struct window *window, uint16_t frames, uint64_t cycles)
{
	window->frames += frames;
	window->bursts += frames > 0;
	if (frames == BURST) {
		window->counted += frames;
		steps[cycles / STEP < STEPS ? cycles / STEP : STEPS - 1]++;
	}
}

static void one_burst(struct window *window, struct rte_mempool *pool, bool transmit)
{
	static struct rte_mbuf *burst[BURST];
	static uint16_t first = BURST;
	uint64_t begin;

	if (!transmit) {
		begin = rte_rdtsc();
		uint16_t received = counted_complete(burst);
		count(window, received, rte_rdtsc() - begin);
		return;
	}
	if (first == BURST) {
		make(pool, burst);
		first = 0;
	}
	begin = rte_rdtsc();
	uint16_t sent = counted_submit(burst + first, BURST - first);
	count(window, sent, rte_rdtsc() - begin);
	first += sent;
}

static void set_up(struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};

	if (!rte_eth_dev_is_valid_port(PORT))
		fail("there is no port; is the back-end there?");
	if (rte_eth_dev_configure(PORT, 1, 1, &conf) != 0)
		fail("the port is not to be configured");
	if (rte_eth_rx_queue_setup(PORT, QUEUE, 0, SOCKET_ID_ANY, NULL, pool) != 0)
		fail("the receive queue is not to be set up");
	if (rte_eth_tx_queue_setup(PORT, QUEUE, 0, SOCKET_ID_ANY, NULL) != 0)
		fail("the transmit queue is not to be set up");
	if (rte_eth_dev_start(PORT) != 0)
		fail("the port does not start");
}

/* Cycles of the burst in the middle of all, times their number. */
static uint64_t middle(uint64_t bursts)
{
	uint64_t before = 0;
	for (uint64_t step = 0; step < STEPS; step++) {
		before += steps[step];
		if (before * 2 > bursts)
			return step * STEP * bursts;
	}
	return 0;
}

static void answer(const struct window *window, uint64_t end)
{
	printf("{\"nanoseconds\":%" PRIu64 ",\"operations\":%" PRIu64 ",\"bursts\":%" PRIu64 ",\"counted\":%" PRIu64
	       ",\"cycles\":%" PRIu64 ",\"kicks\":0,\"allocations\":0}\n",
	       end - window->begin, window->frames, window->bursts, window->counted, middle(window->counted / BURST));
	fflush(stdout);
}

/* For callgrind: with a pause before each burst, so that the back-end is done with those before. */
static void bursts(struct rte_mempool *pool, bool transmit, uint64_t number)
{
	struct window window = {0};

	usleep(300000); /* until the back-end has the queues */
	for (; number > 0; number--) {
		usleep(500);
		one_burst(&window, pool, transmit);
	}
	answer(&window, 0);
}

static void windows(struct rte_mempool *pool, bool transmit, uint64_t warm_up)
{
	struct window window = {0};
	unsigned int seen = 0;
	pthread_t listener;

	if (pthread_create(&listener, NULL, listen_to_input, NULL) != 0)
		fail("no thread for what is typed");
	for (uint64_t begin = nanoseconds(); nanoseconds() - begin < warm_up && !atomic_load(&over);)
		one_burst(&window, pool, transmit);
	puts("ready");
	fflush(stdout);
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		unsigned int now = atomic_load_explicit(&lines, memory_order_relaxed);
		if (now != seen) {
			seen = now;
			if (seen % 2 == 1) {
				memset(steps, 0, sizeof(steps));
				window = (struct window){.begin = nanoseconds()};
			} else {
				answer(&window, nanoseconds());
			}
		}
		one_burst(&window, pool, transmit);
	}
}

int main(int count_of_arguments, char **arguments)
{
	int used = rte_eal_init(count_of_arguments, arguments);
	if (used < 0 || count_of_arguments - used != 4)
		fail("it is run by `make bench-user`");
	bool transmit = strcmp(arguments[used + 1], "transmit") == 0;
	uint64_t number = strtoull(arguments[used + 3], NULL, 10);

	struct rte_mempool *pool =
		rte_pktmbuf_pool_create("frames", BUFFERS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		fail("there is no memory for frames");
	set_up(pool);
	if (strcmp(arguments[used + 2], "windows") == 0)
		windows(pool, transmit, number * 1000000u);
	else
		bursts(pool, transmit, number);
	return EXIT_SUCCESS;
}
