import asyncio, time
from datetime import UTC, datetime
import pytest, json
from cordboard_chassis.testing.deployment import eventually
async def test_bench(make):
    n = await make(webhook_retry_scale=1.0, webhook_timeout_s=15.0)
    lat = []
    async def answer(request):
        t=time.time()
        doc = json.loads(n.partner.received[-1].body)
        lat.append(t - datetime.fromisoformat(doc["time"]).timestamp())
        from aiohttp import web
        return web.Response()
    n.answer(answer)
    await n.endpoint()
    import os
    rate=float(os.environ.get("RATE","200")); total=int(rate*6)
    start=asyncio.get_running_loop().time()
    tasks=[]
    for i in range(total):
        d = start+i/rate-asyncio.get_running_loop().time()
        if d>0: await asyncio.sleep(d)
        tasks.append(asyncio.create_task(n.offered()))
    await asyncio.gather(*tasks)
    took=asyncio.get_running_loop().time()-start
    await eventually(lambda: len(lat)>=total, timeout_s=60)
    lat.sort()
    print(f"rate {rate} took {took:.1f}s p50 {lat[total//2]*1000:.1f} p95 {lat[int(total*.95)]*1000:.1f} p99 {lat[int(total*.99)]*1000:.1f} max {lat[-1]*1000:.0f} ms")
