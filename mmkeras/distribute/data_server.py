"""One server of a tf.data service, in a process of its own: python -m mmkeras.distribute.data_server <JSON>.

The JSON holds `kind`, "dispatcher" or "worker", and `port`; of a dispatcher the folder of its `journal` and the
addresses of its `workers`, of a worker its own `address` among these and that of its `dispatcher`.
"""

import json
import sys

from mmkeras import _quiet as _quiet  # the ops of tokenizers


def main():
    from tensorflow.data.experimental import service

    options = json.loads(sys.argv[1])
    if options["kind"] == "dispatcher":
        # Workers are known beforehand: each has rows of its own, which it prepares again when it was started again.
        # The journal says who is at what, so that a dispatcher that was started again goes on with it.
        config = service.DispatcherConfig(
            port=options["port"],
            work_dir=options["journal"],
            fault_tolerant_mode=True,
            worker_addresses=options["workers"],
            job_gc_check_interval_ms=60_000,
        )
        server = service.DispatchServer(config)
    else:
        config = service.WorkerConfig(
            dispatcher_address=options["dispatcher"],
            worker_address=options["address"],
            port=options["port"],
        )
        server = service.WorkerServer(config)
    server.join()


if __name__ == "__main__":
    main()
