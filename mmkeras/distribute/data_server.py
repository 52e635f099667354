"""One server of a tf.data service, in a process of its own: python -m mmkeras.distribute.data_server <JSON>.

The JSON holds `kind`, "dispatcher" or "worker", and `port`; of a dispatcher the folder of its `journal`, of a worker
the address of its `dispatcher`.
"""

import json
import sys

from mmkeras import _quiet as _quiet  # the ops of tokenizers


def main():
    from tensorflow.data.experimental import service

    options = json.loads(sys.argv[1])
    if options["kind"] == "dispatcher":
        # The journal says which rows were handed out, so that a dispatcher that was started again goes on with it.
        config = service.DispatcherConfig(
            port=options["port"], work_dir=options["journal"], fault_tolerant_mode=True, job_gc_check_interval_ms=60_000
        )
        server = service.DispatchServer(config)
    else:
        config = service.WorkerConfig(
            dispatcher_address=options["dispatcher"],
            worker_address=f"localhost:{options['port']}",
            port=options["port"],
        )
        server = service.WorkerServer(config)
    server.join()


if __name__ == "__main__":
    main()
