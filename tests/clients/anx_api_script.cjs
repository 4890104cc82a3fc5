// What a script does with anx-api: `node anx_api_script.cjs TOKEN_FILE URL`, a line of JSON in, a line of JSON out.
'use strict';
const readline = require('node:readline');
const { AnxApi, statusOk } = require('anx-api');

const api = new AnxApi({ target: process.argv[3], rateLimiting: true });
let credentials = [];

function payload(answer) {
    if (!statusOk(answer.body)) {
        const { error_id: id, error } = answer.body.response;
        throw Object.assign(new Error(error), { name: id });
    }
    return answer.body.response;
}

// The library logs nobody in by itself: it raises this error, and leaves the rest to the script.
async function loggedIn(call) {
    try {
        return await call();
    } catch (error) {
        if (error.name !== 'NotAuthenticatedError') throw error;
        await api.login(...credentials);
        return call();
    }
}

const steps = {
    async log_in({ username, password }) {
        credentials = [username, password];
        await api.login(username, password);
        return payload(await api.get('user?current')).user.username;
    },
    async create({ service, fields, ...params }) {
        return payload(await api.post(service, { [service]: fields }, { params }))[service];
    },
    async find({ service, ...params }) {
        const response = (await api.getAll(service, { params })).body.response;
        return response[response.dbg_info.output_term];
    },
    async read({ service, row_id: id }) {
        return payload(await loggedIn(() => api.get(service, { params: { id } })))[service];
    },
    async modify({ service, row_id: id, fields }) {
        return payload(await api.put(service, { [service]: fields }, { params: { id } }))[service];
    },
    async append({ service, row_id: id, fields }) {
        return payload(await api.put(service, { [service]: fields }, { params: { id, append: true } }))[service];
    },
    async delete({ service, ids }) {
        return payload(await api.delete(service, { params: { id: ids.join(',') } })).count;
    },
    async meta({ service }) {
        return payload(await api.get(`${service}/meta`)).fields.map((field) => field.name);
    },
    async report({ wanted }) {
        const { report_id: id } = payload(await api.post('report', { report: wanted }));
        for (let tries = 0; tries < 100; tries += 1) {
            if (payload(await api.get('report', { params: { id } })).execution_status === 'ready') break;
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
        const answer = await api.get('report-download', { params: { id } });
        return answer.body.split('\r\n').filter(Boolean).map((line) => line.split(','));
    },
    async token() {
        return api._config.token;
    },
};

(async () => {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const { step, given } = JSON.parse(line);
        let answer;
        try {
            answer = { result: await steps[step](given) };
        } catch (error) {
            answer = { raised: error.name, text: error.message, trace: error.stack };
        }
        process.stdout.write(`${JSON.stringify(answer)}\n`);
    }
})();
